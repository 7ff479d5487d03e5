import { describe, expect, it } from 'vitest';
import { signCheckpoint } from '#streams/transparency/checkpoint.ts';
import { newSignerText, parseSigner } from '#streams/transparency/note.ts';
import { CertificateRejected, checkCertificate, makeCertificate, readCertificate } from './certificate.ts';

const signer = parseSigner(newSignerText('example.org/stele-log'));
const root = new Uint8Array(32);

function certificateOf(headBefore: string, headAfter: string, why = 'It is needed.') {
  return makeCertificate(
    {
      serverName: 'example.org',
      erasure: {
        id: 'request',
        userId: '@ann:example.org',
        by: 'operator:x',
        reason: null,
        caseId: null,
        asksPeers: false,
        requestedAtMs: 0,
        state: 'requested',
        holdIds: [],
        soFar: null,
        certificateAt: null,
      },
      destroyed: { items: { messages: 3 }, media: 1, records: [7], peersAsked: 0 },
      kept: [{ rule: 'needed', why, count: 1 }],
      headBefore,
      headAfter,
      nowMs: 1,
    },
    (text) => signer.sign(text),
  );
}

const head = (size: number, by = signer) => signCheckpoint({ size, root }, by);

describe('a certificate of erasure', () => {
  it('is read when it is signed and of its document', () => {
    expect(readCertificate(certificateOf(head(5), head(9)), signer.verifier)).toMatchObject({
      subject: '@ann:example.org',
      log_size_before: 5,
      log_size_after: 9,
      decided_in_records: [7],
    });
  });

  it('is none for another document, though a reason quotes its digest', () => {
    const other = certificateOf(head(5), head(9), 'other');
    const digest = /document sha256 [0-9a-f]{64}/.exec(other.note)?.[0] ?? '';
    const { note } = certificateOf(head(5), head(9), `because of ${digest}`);
    expect(note).toContain(digest);
    expect(checkCertificate({ document: other.document, note }, signer.verifier)).toBe(false);
  });

  it('is none where other things were signed with the key', () => {
    const { document, note } = certificateOf(head(5), head(9));
    const digest = /document sha256 [0-9a-f]{64}/.exec(note)?.[0] ?? '';
    const forged = signer.sign(`stele export of example.org/stele-log\n${digest}\n`);
    expect(() => readCertificate({ document, note: forged }, signer.verifier)).toThrow(CertificateRejected);
  });

  it('is none of another key, with heads of another log, or of a log that shrank', () => {
    const stranger = parseSigner(newSignerText('example.org/stele-log'));
    expect(() => readCertificate(certificateOf(head(5), head(9)), stranger.verifier)).toThrow(CertificateRejected);
    expect(() => readCertificate(certificateOf(head(5), head(9, stranger)), signer.verifier)).toThrow(
      CertificateRejected,
    );
    expect(() => readCertificate(certificateOf(head(9), head(5)), signer.verifier)).toThrow(/fewer records/);
  });
});
