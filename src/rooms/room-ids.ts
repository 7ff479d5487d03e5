import { randomBytes } from 'node:crypto';

const ROOM_ID_CHARACTERS = 18;
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** A fresh id for a room of the versions in which servers choose them. */
export function newRoomId(serverName: string): string {
  return `!${randomLetters(ROOM_ID_CHARACTERS)}:${serverName}`;
}

function randomLetters(count: number): string {
  let letters = '';
  while (letters.length < count) {
    // Bytes past the last whole round of letters are left out, so that all letters are equally likely.
    for (const byte of randomBytes(count)) {
      if (byte < 4 * LETTERS.length && letters.length < count) letters += LETTERS[byte % LETTERS.length];
    }
  }
  return letters;
}
