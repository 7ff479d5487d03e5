/** What the documents say of files, commands and settings, held against what there is. */
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { COMMANDS } from '#ops/cli/commands.ts';
import { implicitOptions } from '#ops/cli/help.ts';
import { loadConfig } from '#src/config/load.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FOLDERS = ['src', 'streams', 'projections', 'ops', 'test'];

interface Document {
  readonly name: string;
  readonly text: string;
}

const documents: readonly Document[] = await Promise.all(
  ['README.md', ...(await Promise.all(FOLDERS.map(documentsBelow))).flat()].map(async (name) => ({
    name,
    text: await readFile(path.join(ROOT, name), 'utf8'),
  })),
);

async function documentsBelow(folder: string): Promise<string[]> {
  const names = await readdir(path.join(ROOT, folder), { recursive: true });
  return names.filter((name) => name.endsWith('.md')).map((name) => path.join(folder, name));
}

/** The fenced blocks of a language. */
function blocks({ text }: Document, language: string): string[] {
  return [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].flatMap(([, kind, body = '']) =>
    kind === language ? [body] : [],
  );
}

/** A heading as the part of a link behind `#`. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
}

describe.each(documents)('$name', (document) => {
  test('links to what is there', async () => {
    const links = [...document.text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);
    for (const link of links.filter((one) => !/^[a-z]+:/.test(one))) {
      const [file = '', anchor] = link.split('#', 2);
      const target = file === '' ? document.name : path.join(path.dirname(document.name), file);
      expect(existsSync(path.join(ROOT, target)), link).toBe(true);
      if (anchor === undefined) continue;
      const text = await readFile(path.join(ROOT, target), 'utf8');
      const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchorOf(heading));
      expect(headings, link).toContain(anchor);
    }
  });

  test('names verbs and options that stele has', async () => {
    const lines = blocks(document, 'sh').flatMap((block) => block.split('\n'));
    for (const line of lines.filter((one) => one.startsWith('stele '))) {
      const [own = ''] = line.split(/ [|>#] ?| #/, 1);
      const words = own.split(' ').slice(1);
      const name = [words.slice(0, 2).join(' '), words[0] ?? ''].find((one) => Object.hasOwn(COMMANDS, one));
      const load = name === undefined ? undefined : COMMANDS[name];
      if (load === undefined) {
        expect(words[0], line).toBe('help');
        continue;
      }
      const { command } = await load();
      const known = { ...command.options, ...implicitOptions(command) };
      for (const [, option = ''] of own.matchAll(/ --([a-z-]+)/g)) expect(known, line).toHaveProperty(option);
    }
  });

  test('shows settings that a server takes', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'stele-docs-'));
    try {
      for (const block of blocks(document, 'yaml')) {
        const file = path.join(folder, 'stele.yaml');
        await writeFile(file, /^server_name:/m.test(block) ? block : `server_name: example.org\n${block}`);
        const { config } = await loadConfig({ file, environment: {}, workingDir: folder });
        expect(config.server_name).toBe('example.org');
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

test.each(['src', 'projections'])('%s/README.md names each folder, and what to begin with', async (folder) => {
  const text = await readFile(path.join(ROOT, folder, 'README.md'), 'utf8');
  const entries = await readdir(path.join(ROOT, folder), { withFileTypes: true });
  const rows = new Map([...text.matchAll(/^\| `([a-z-]+)\/` \|(.*)$/gm)].map(([, name = '', row = '']) => [name, row]));
  expect([...rows.keys()].toSorted()).toEqual(
    entries
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
      .toSorted(),
  );
  for (const [name, row] of rows) {
    for (const [, file = ''] of row.matchAll(/`([\w/-]+\.ts)`/g)) {
      expect(existsSync(path.join(ROOT, folder, name, file)), `${name}/${file}`).toBe(true);
    }
  }
});
