import { expect, it } from 'vitest';
import { createLookup } from './name-lookup.ts';

it.each(['localhost', 'LOCALHOST', 'localhost.', 'a.localhost', 'a.b.localhost.'])(
  '%s is this machine, whatever name servers say',
  async (name) => {
    expect(await createLookup()(name)).toEqual(['127.0.0.1', '::1']);
  },
);
