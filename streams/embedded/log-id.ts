import { Damaged } from '../event-log.ts';
import type { FileSystem } from './files.ts';
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES } from './frame.ts';

/** The 16 bytes by which a segment says which log it is of. @throws {Damaged} if the file is no segment. */
export async function readLogId(files: FileSystem, segment: string): Promise<Buffer> {
  const file = await files.open(segment, 'read');
  try {
    const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
    await file.read(bytes, 0);
    const header = decodeSegmentHeader(bytes);
    if (header === undefined) throw new Damaged(`${segment}, offset 0: this is no segment of a log.`);
    return header.logId;
  } finally {
    await file.close();
  }
}
