/** That what Synapse 1.163 answers below `/_synapse/admin` is answered here too, as its servlets declare it: its tools ask for it. */
import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { endpoints } from '#src/endpoints.ts';

/** What is not there, each with a line in src/client-api/admin/README.md that says why. */
const NOT_THERE = ['GET /_synapse/admin/v1/search_users/{}', 'POST /_synapse/admin/v1/account_validity/validity'];

it('every method of every path is there, but for those that are known not to be', async () => {
  const fixture = new URL('fixtures/synapse-1.163-admin-paths.json', import.meta.url);
  const wanted = JSON.parse(await readFile(fixture, 'utf8')) as string[];
  expect(wanted.length).toBeGreaterThan(90);
  const answered = new Set(
    endpoints.flatMap(({ method, path, aliases = [] }) =>
      [path, ...aliases].map((one) => `${method} ${one.replaceAll(/\{\w+\}/g, '{}')}`),
    ),
  );
  expect(wanted.filter((one) => !answered.has(one))).toEqual(NOT_THERE);
});
