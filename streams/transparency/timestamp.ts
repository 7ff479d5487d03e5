/**
 * Time-stamp tokens (RFC 3161): asking an authority to vouch that some bytes existed at a time, and checking what it says. The
 * ASN.1 is the library's; what a token has to say to be believed is checked here, up to a certificate authority that is trusted.
 */
import { constants, createHash, hash, verify as verifySignature, X509Certificate } from 'node:crypto';
import { ContentInfo, id_signedData, SignedData, type SignerInfo } from '@peculiar/asn1-cms';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import { MessageImprint, TimeStampReq, TimeStampResp, TSTInfo } from '@peculiar/asn1-tsp';
import { AlgorithmIdentifier } from '@peculiar/asn1-x509';

const SHA256 = '2.16.840.1.101.3.4.2.1';
const DIGESTS: Readonly<Record<string, string>> = {
  '1.3.14.3.2.26': 'sha1',
  [SHA256]: 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
};
/** Those that a signature may still be made with. */
const STRONG_DIGESTS = new Set(['sha256', 'sha384', 'sha512']);
const TST_INFO = '1.2.840.113549.1.9.16.1.4';
const CONTENT_TYPE = '1.2.840.113549.1.9.3';
const MESSAGE_DIGEST = '1.2.840.113549.1.9.4';
const SIGNING_CERTIFICATES = new Set(['1.2.840.113549.1.9.16.2.12', '1.2.840.113549.1.9.16.2.47']);
const TIME_STAMPING = '1.3.6.1.5.5.7.3.8';
const RSA_PSS = '1.2.840.113549.1.1.10';
const ED25519 = '1.3.101.112';
/** Tag of a SET OF, which stands in for the implicit one when signed attributes are hashed (RFC 5652 §5.4). */
const SET_OF = 0x31;
/** Lengths below it are one byte; the others are preceded by how many bytes they have. */
const LONG_LENGTH = 0x80;
/** Certificates between an authority and the one that is trusted. */
const MAX_CHAIN = 8;

/** An answer of an authority is none, or does not show what it should. */
export class TimestampRejected extends Error {
  override readonly name = 'TimestampRejected';
}

/** What a token has to be of: bytes with this SHA-256, and, where the request is at hand, its nonce. */
export interface ExpectedTimestamp {
  readonly digest: Uint8Array;
  readonly nonce?: Uint8Array;
}

/** What a token says, verified. */
export interface VerifiedTimestamp {
  /** Milliseconds since the epoch, by the authority's clock. */
  readonly timeMs: number;
  /** Lower-case hex. */
  readonly serialNumber: string;
  /** Whose certificate signed it: its subject, on one line. */
  readonly authority: string;
}

/** The request for a token over bytes with this SHA-256: DER. `nonce`: some random bytes, so that no old answer fits. */
export function timestampRequest(digest: Uint8Array, nonce: Uint8Array): Buffer {
  const request = new TimeStampReq({
    messageImprint: new MessageImprint({
      hashAlgorithm: new AlgorithmIdentifier({ algorithm: SHA256, parameters: null }),
      hashedMessage: new OctetString(digest),
    }),
    nonce: positive(nonce),
    certReq: true,
  });
  return Buffer.from(AsnConvert.serialize(request));
}

/**
 * Verifies an answer of an authority over bytes with this SHA-256: status, what it is of, the signature, that its certificate
 * is for time stamps and was issued, at that time, under one of the trusted authorities.
 * @param trusted certificates of authorities, as PEM, one behind the other
 * @throws {TimestampRejected}
 */
export function verifyTimestamp(response: Uint8Array, expected: ExpectedTimestamp, trusted: string): VerifiedTimestamp {
  // Whatever is wrong with what an authority sent, wherever it is noticed: it is no time stamp.
  return parsed(() => verified(response, expected, pemCertificates(trusted)));
}

function verified(
  response: Uint8Array,
  expected: ExpectedTimestamp,
  trusted: readonly X509Certificate[],
): VerifiedTimestamp {
  const signed = tokenOf(response);
  const content = signed.encapContentInfo.eContent?.single?.buffer;
  if (signed.encapContentInfo.eContentType !== TST_INFO || content === undefined) {
    throw new TimestampRejected('the token holds no time stamp');
  }
  const info = AsnConvert.parse(content, TSTInfo);
  const imprint = info.messageImprint;
  if (imprint.hashAlgorithm.algorithm !== SHA256 || !same(imprint.hashedMessage.buffer, expected.digest)) {
    throw new TimestampRejected('the time stamp is of something else');
  }
  if (expected.nonce !== undefined && (info.nonce === undefined || !same(info.nonce, positive(expected.nonce)))) {
    throw new TimestampRejected('the time stamp answers another request');
  }
  const certificates = (signed.certificates ?? []).flatMap(({ certificate }) =>
    certificate === undefined ? [] : [new X509Certificate(Buffer.from(AsnConvert.serialize(certificate)))],
  );
  const [signer] = signed.signerInfos;
  if (signer === undefined || signed.signerInfos.length !== 1) {
    throw new TimestampRejected('the token does not have one signature');
  }
  checkAttributes(signer, content);
  const certificate = certificates.find((one) => isSignerOf(one, signer));
  if (certificate === undefined)
    throw new TimestampRejected('the signature does not hold by a certificate of the token');
  checkChain(certificate, certificates, trusted, info.genTime);
  return {
    timeMs: info.genTime.getTime(),
    serialNumber: Buffer.from(info.serialNumber).toString('hex'),
    authority: certificate.subject.replaceAll('\n', ', '),
  };
}

function tokenOf(response: Uint8Array): SignedData {
  const { status, timeStampToken } = AsnConvert.parse(response, TimeStampResp);
  // 0: granted; 1: granted with changes (RFC 3161 §2.4.2).
  if (Number(status.status) > 1 || timeStampToken === undefined) {
    const words = status.statusString?.join(' ') ?? '';
    throw new TimestampRejected(`the authority refused: status ${Number(status.status)} ${words}`.trim());
  }
  const { contentType, content } = AsnConvert.parse(AsnConvert.serialize(timeStampToken), ContentInfo);
  if (contentType !== id_signedData) throw new TimestampRejected('the token is not signed data');
  return AsnConvert.parse(content, SignedData);
}

function checkAttributes(signer: SignerInfo, content: ArrayBuffer): void {
  const digest = digestName(signer);
  const type = attribute(signer, CONTENT_TYPE);
  const messageDigest = attribute(signer, MESSAGE_DIGEST);
  if (type === undefined || messageDigest === undefined)
    throw new TimestampRejected('the token lacks signed attributes');
  const computed = createHash(digest).update(Buffer.from(content)).digest();
  // A DER value: tag, length, and the bytes themselves, which a digest leaves short.
  if (!Buffer.from(messageDigest).subarray(2).equals(computed)) {
    throw new TimestampRejected('what was signed is not what the token says');
  }
}

/** Whether the certificate is the one that signed: by serial number, by its hash in the signed attributes, and by the signature. */
function isSignerOf(certificate: X509Certificate, signer: SignerInfo): boolean {
  const named = [...SIGNING_CERTIFICATES].some((type) => {
    const value = attribute(signer, type);
    return (
      value !== undefined &&
      Object.values(DIGESTS).some((name) => Buffer.from(value).includes(hash(name, certificate.raw, 'buffer')))
    );
  });
  if (!named) return false;
  const signedBytes = setOf((signer.signedAttrs ?? []).map((one) => Buffer.from(AsnConvert.serialize(one))));
  const { algorithm } = signer.signatureAlgorithm;
  const key =
    algorithm === RSA_PSS
      ? {
          key: certificate.publicKey,
          padding: constants.RSA_PKCS1_PSS_PADDING,
          saltLength: constants.RSA_PSS_SALTLEN_AUTO,
        }
      : certificate.publicKey;
  const digest = algorithm === ED25519 ? null : digestName(signer);
  return verifySignature(digest, signedBytes, key, Buffer.from(signer.signature.buffer));
}

function checkChain(
  signer: X509Certificate,
  others: readonly X509Certificate[],
  trusted: readonly X509Certificate[],
  at: Date,
): void {
  if (!(signer.keyUsage ?? []).includes(TIME_STAMPING)) {
    throw new TimestampRejected('the certificate that signed is not for time stamps');
  }
  let certificate = signer;
  for (let depth = 0; depth < MAX_CHAIN; depth++) {
    if (at < certificate.validFromDate || at > certificate.validToDate) {
      throw new TimestampRejected('a certificate was not valid at the time of the stamp');
    }
    const issued = certificate;
    if (trusted.some((one) => one.raw.equals(issued.raw) || isIssuer(one, issued))) return;
    const issuer = others.find((one) => one !== issued && one.ca && isIssuer(one, issued));
    if (issuer === undefined) break;
    certificate = issuer;
  }
  throw new TimestampRejected('the certificate that signed was not issued under an authority that is trusted');
}

function isIssuer(issuer: X509Certificate, issued: X509Certificate): boolean {
  return issued.checkIssued(issuer) && issued.verify(issuer.publicKey);
}

function pemCertificates(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw new TimestampRejected('there is no certificate of an authority to trust');
  return blocks.map((block) => new X509Certificate(block));
}

/** DER of a SET OF elements that are in the order in which they were signed. */
function setOf(elements: readonly Buffer[]): Buffer {
  const content = Buffer.concat(elements);
  const length: number[] = [];
  for (let rest = content.length; rest > 0; rest = Math.floor(rest / 256)) length.unshift(rest % 256);
  const header = content.length < LONG_LENGTH ? [content.length] : [LONG_LENGTH + length.length, ...length];
  return Buffer.concat([Buffer.of(SET_OF, ...header), content]);
}

function attribute({ signedAttrs }: SignerInfo, type: string): ArrayBuffer | undefined {
  return signedAttrs?.find(({ attrType }) => attrType === type)?.attrValues[0];
}

function digestName({ digestAlgorithm }: SignerInfo): string {
  const name = DIGESTS[digestAlgorithm.algorithm];
  if (name === undefined || !STRONG_DIGESTS.has(name)) {
    throw new TimestampRejected(`the token is signed with a hash that is not accepted (${digestAlgorithm.algorithm})`);
  }
  return name;
}

/** The bytes of a whole number above zero, as DER has them: the first bit is 0, and the first byte is not. */
function positive(bytes: Uint8Array): ArrayBuffer {
  const copy = new Uint8Array(bytes);
  copy[0] = ((copy[0] ?? 0) & 0x7f) | 0x40;
  return copy.buffer;
}

function same(a: ArrayBuffer, b: Uint8Array | ArrayBuffer): boolean {
  return Buffer.from(a).equals(Buffer.from(b as ArrayBuffer));
}

/** What is read of an answer that may be anything. */
function parsed<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof TimestampRejected) throw error;
    throw new TimestampRejected(`this is no time stamp: ${error instanceof Error ? error.message : String(error)}`);
  }
}
