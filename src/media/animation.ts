/** Whether an image moves, from how it begins. */

/** How much of the beginning of a file {@link isAnimated} wants to see, in bytes. */
export const ANIMATION_HEAD_BYTES = 256 * 1024;

const PNG_SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/** Whether an image moves. Where its beginning does not tell, it is taken to. */
export function isAnimated(head: Buffer): boolean {
  if (head.subarray(0, 8).equals(PNG_SIGNATURE)) return isAnimatedPng(head);
  const tag = head.toString('latin1', 0, 4);
  if (tag === 'GIF8') return isAnimatedGif(head);
  if (tag === 'RIFF') return isAnimatedWebp(head);
  if (head.toString('latin1', 4, 8) === 'ftyp') return isImageSequence(head);
  return false;
}

/** An `acTL` chunk comes before the first `IDAT`. https://www.w3.org/TR/png-3/#acTL-chunk */
function isAnimatedPng(head: Buffer): boolean {
  for (let at = 8; at + 8 <= head.length; ) {
    const type = head.toString('latin1', at + 4, at + 8);
    if (type === 'acTL') return true;
    if (type === 'IDAT') return false;
    at += 12 + head.readUInt32BE(at);
  }
  return true;
}

/** The animation flag of the extended header. https://www.rfc-editor.org/rfc/rfc9649#section-2.7.1 */
function isAnimatedWebp(head: Buffer): boolean {
  return head.toString('latin1', 8, 16) === 'WEBPVP8X' && ((head[20] ?? 0) & 0x02) !== 0;
}

/** The brand of an image sequence among those of the file. */
function isImageSequence(head: Buffer): boolean {
  const end = Math.min(head.readUInt32BE(0), head.length);
  for (let at = 8; at + 4 <= end; at += 4) if (head.toString('latin1', at, at + 4) === 'avis') return true;
  return false;
}

const EXTENSION = 0x21;
const IMAGE = 0x2c;
const TRAILER = 0x3b;

/** More than one image. https://www.w3.org/Graphics/GIF/spec-gif89a.txt */
function isAnimatedGif(head: Buffer): boolean {
  let images = 0;
  let at = 13 + colourTableBytes(head[10]);
  while (at < head.length) {
    const block = head[at];
    if (block === EXTENSION) {
      at = afterSubBlocks(head, at + 2);
    } else if (block === IMAGE) {
      images += 1;
      if (images > 1) return true;
      at = afterSubBlocks(head, at + 11 + colourTableBytes(head[at + 9]));
    } else {
      return block !== TRAILER;
    }
  }
  return true;
}

function colourTableBytes(flags = 0): number {
  return (flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 0x07) + 1);
}

function afterSubBlocks(head: Buffer, start: number): number {
  let at = start;
  while (at < head.length) {
    const length = head[at] ?? 0;
    at += 1 + length;
    if (length === 0) break;
  }
  return at;
}
