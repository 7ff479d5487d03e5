/** kill-writer.test-support.ts FOLDER: appends to the log in the folder until it is killed, and says what was acknowledged. */
import { randomBytes } from 'node:crypto';
import { writeSync } from 'node:fs';
import { openLog } from '../open-log.ts';

const WRITERS = 12;
const SEGMENT_BYTES = 64 * 1024;

const folder = process.argv[2];
if (folder === undefined) throw new Error('which folder?');
const log = await openLog({ folder, segmentBytes: SEGMENT_BYTES });
// What was acknowledged is told at once, past all buffers: the process may be gone in the next moment.
const tell = (line: string) => writeSync(1, `${line}\n`);
tell('open');
for (let writer = 0; writer < WRITERS; writer++) {
  const stream = `room-${writer}`;
  void (async () => {
    for (let revision = await log.revisionOf(stream); ; revision += 2) {
      const drafts = [0, 1].map((half) => ({
        id: randomBytes(16),
        kind: 'pdu',
        version: 1,
        sections: [randomBytes(20 + (((revision + 1) * 37) % 400)), Buffer.from(`${stream} ${revision + 1 + half}`)],
      }));
      const { firstPosition } = await log.append(stream, revision, drafts);
      for (const [half, { id }] of drafts.entries()) {
        tell(`${firstPosition + half} ${stream} ${revision + 1 + half} ${id.toString('hex')}`);
      }
    }
  })();
}
