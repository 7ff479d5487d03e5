import { expect, test } from 'vitest';
import { openCheckpoint, originOf, readCheckpoint, signCheckpoint } from './checkpoint.ts';
import { EMPTY_ROOT } from './merkle.ts';
import { newSignerText, openNote, parseSigner, parseVerifier } from './note.ts';

// The example of Go's golang.org/x/mod/sumdb/note documentation.
const peterKey = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const peterSigner = 'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz';
const peterNote = `If you think cryptography is the answer to your problem,
then you don't know what your problem is.

\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
`;

test('notes and keys are those of the format', () => {
  const verifier = parseVerifier(peterKey);
  expect(verifier.keyId).toBe(0xc74f20a3);
  const text = openNote(peterNote, verifier);
  expect(text).toBe(peterNote.slice(0, peterNote.indexOf('\n\n') + 1));
  const signer = parseSigner(peterSigner);
  expect(signer.verifier.text).toBe(peterKey);
  expect(signer.sign(text)).toBe(peterNote);
});

test('a new key signs what its public form verifies', () => {
  const signer = parseSigner(newSignerText('example.org/stele-log'));
  const note = signer.sign('hello\n');
  expect(openNote(note, parseVerifier(signer.verifier.text))).toBe('hello\n');
});

test.each([
  ['a changed text', peterNote.replace('answer', 'question'), 'forged'],
  ['another key with the same name', peterNote, 'unsigned'],
  ['no signature', 'text\n', 'malformed'],
  ['no final newline', peterNote.slice(0, -1), 'malformed'],
  ['a control character', peterNote.replace('answer', 'ans\twer'), 'malformed'],
  ['a line that is no signature', `${peterNote}hello\n`, 'malformed'],
  ['an endless note', `${'x'.repeat(200_000)}\n\n`, 'malformed'],
])('a note with %s is turned down', (what, note, reason) => {
  const other = parseSigner(newSignerText('PeterNeumann')).verifier;
  const verifier = what.startsWith('another key') ? other : parseVerifier(peterKey);
  expect(() => openNote(note, verifier)).toThrow(expect.objectContaining({ name: 'NoteError', reason }));
});

test('signatures of others beside it do not matter', () => {
  const other = parseSigner(newSignerText('witness.example'));
  const text = openNote(peterNote, parseVerifier(peterKey));
  const both = peterNote + other.sign(text).slice(text.length + 1);
  expect(openNote(both, parseVerifier(peterKey))).toBe(text);
  expect(openNote(both, other.verifier)).toBe(text);
});

test.each([
  'PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
  'PeterNeumann+c74f20a3+AhpC2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
  'Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
  'PeterNeumann+c74f20a3',
  '',
])('%j is no key', (text) => {
  expect(() => parseVerifier(text)).toThrow(expect.objectContaining({ name: 'NoteError', reason: 'key' }));
});

test('a key needs a name without spaces and plus', () => {
  for (const name of ['', 'a b', 'a+b', 'a\nb']) expect(() => newSignerText(name)).toThrow('cannot name a note key');
});

test('a checkpoint says origin, size and root', () => {
  const signer = parseSigner(newSignerText(originOf('example.org')));
  const note = signCheckpoint({ size: 0, root: EMPTY_ROOT }, signer);
  expect(note.split('\n').slice(0, 4)).toEqual([
    'example.org/stele-log',
    '0',
    '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=',
    '',
  ]);
  expect(openCheckpoint(note, signer.verifier)).toMatchObject({ origin: 'example.org/stele-log', size: 0 });
});

test.each([
  ['a size with a leading zero', 'o\n01\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n'],
  ['a size that is no number', 'o\nmany\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n'],
  ['a short root', 'o\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuA==\n'],
  ['too few lines', 'o\n1\n'],
])('a note with %s is no checkpoint', (_, text) => {
  const signer = parseSigner(newSignerText('o'));
  expect(() => readCheckpoint(signer.sign(text))).toThrow(expect.objectContaining({ name: 'CheckpointError' }));
});

test('a checkpoint of another log is not opened, whoever signed it', () => {
  const signer = parseSigner(newSignerText('other'));
  const root = Buffer.from(EMPTY_ROOT).toString('base64');
  expect(() => openCheckpoint(signer.sign(`o\n0\n${root}\n`), signer.verifier)).toThrow(
    'a checkpoint of o, not of other',
  );
});
