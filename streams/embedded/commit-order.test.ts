import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { NO_STREAM } from '../event-log.ts';
import { openLog } from '../open-log.ts';
import { diskFiles, type FileSystem, type OpenFile } from './files.ts';

const draft = (id: number) => ({ id: Buffer.alloc(16, id), kind: 'test', version: 1, sections: [Buffer.from('text')] });

it('gives the disk the next commit before subscribers and callers hear of the last', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'stele-log-'));
  const happened: string[] = [];
  let onFirstWrite: (() => void) | undefined;
  const files = watchedFiles((path) => {
    if (!path.endsWith('.seg')) return;
    happened.push('write');
    onFirstWrite?.();
    onFirstWrite = undefined;
  });
  const log = await openLog({ folder, files, onCommit: (leaves) => happened.push(`tree ${leaves.length}`) });
  try {
    // The segment is there, so that nothing has to be waited for.
    await log.append('room-0', NO_STREAM, [draft(0)]);
    happened.length = 0;
    const heads: number[] = [];
    await log.subscribeAll(log.head(), {
      onRecords: (records) => {
        heads.push(log.head());
        happened.push(`subscriber ${records.map(({ stream }) => stream).join()}`);
      },
    }).live;
    let second: Promise<unknown> | undefined;
    onFirstWrite = () => {
      second = log.append('room-2', NO_STREAM, [draft(2)]).then(() => happened.push('answer 2'));
    };
    await log.append('room-1', NO_STREAM, [draft(1)]).then(() => happened.push('answer 1'));
    await second;
    expect(happened).toEqual([
      'write',
      'write',
      'tree 1',
      'subscriber room-1',
      'answer 1',
      'tree 1',
      'subscriber room-2',
      'answer 2',
    ]);
    expect(heads).toEqual([1, 2]);
  } finally {
    await log.close();
    await rm(folder, { recursive: true });
  }
});

/** The machine's file system, with a look at what is written at once. */
function watchedFiles(onWrite: (path: string) => void): FileSystem {
  return {
    ...diskFiles,
    async open(name, mode): Promise<OpenFile> {
      const file = await diskFiles.open(name, mode);
      return new Proxy(file, {
        get(target, property) {
          if (property === 'writeAtOnce') {
            return (bytes: Buffer, position: number) => {
              onWrite(name);
              return target.writeAtOnce(bytes, position);
            };
          }
          const value: unknown = Reflect.get(target, property);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
    },
  };
}
