/** Passwords from a person at a terminal, or from a program. */
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { UsageError } from './command.ts';

/** Longest line that is read for a password, in bytes. */
const MAX_LINE_BYTES = 4096;

/** The first line of standard input, without its line end. */
export async function passwordFromInput(input: NodeJS.ReadableStream = process.stdin): Promise<string> {
  let text = '';
  for await (const chunk of input) {
    text += String(chunk);
    const end = text.indexOf('\n');
    if (end >= 0) return text.slice(0, end).replace(/\r$/, '');
    if (Buffer.byteLength(text) > MAX_LINE_BYTES) throw new UsageError('the password on standard input is too long');
  }
  if (text === '') throw new UsageError('there is no password on standard input');
  return text;
}

/** Asks at the terminal, twice, without showing what is typed. */
export async function askForPassword(userName: string): Promise<string> {
  if (!process.stdin.isTTY)
    throw new UsageError('there is no terminal to ask at; give the password with --password-stdin');
  const first = await askHidden(`Password for ${userName}: `);
  if (first === '') throw new UsageError('the password is empty');
  const second = await askHidden('Once more: ');
  if (first !== second) throw new UsageError('the two passwords differ');
  return first;
}

async function askHidden(question: string): Promise<string> {
  process.stderr.write(question);
  // An output that swallows everything: readline then edits the line without showing it.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  lines.once('line', resolve);
  lines.once('SIGINT', () => reject(new UsageError('interrupted')));
  lines.once('close', () => reject(new UsageError('no password was given')));
  try {
    return await promise;
  } finally {
    lines.close();
    process.stderr.write('\n');
  }
}
