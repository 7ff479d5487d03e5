/** What the signature on a request between servers covers. https://spec.matrix.org/v1.19/server-server-api/#request-authentication */
import { encodeBase64 } from '#protocol/base64.ts';
import { canonicalJson } from '#protocol/canonical-json.ts';
import type { SigningKey } from '#protocol/signing.ts';
import { formatServerAuthorization } from './authorization-header.ts';

/** The parts of a request that are signed. */
export interface SignedParts {
  readonly method: string;
  /** Path and query as they are sent. */
  readonly uri: string;
  readonly origin: string;
  /** Missing where an older server does not say whom it means. */
  readonly destination: string | undefined;
  /** The body as canonical JSON; undefined for a request without one. */
  readonly content: string | undefined;
}

/** The bytes that are signed: the canonical JSON of the parts, put together from a content that is canonical already. */
export function bytesToSign({ method, uri, origin, destination, content }: SignedParts): Uint8Array {
  const text = (value: string): string => canonicalJson(value);
  const members = [
    ...(content === undefined ? [] : [`"content":${content}`]),
    ...(destination === undefined ? [] : [`"destination":${text(destination)}`]),
    `"method":${text(method)}`,
    `"origin":${text(origin)}`,
    `"uri":${text(uri)}`,
  ];
  return Buffer.from(`{${members.join(',')}}`, 'utf8');
}

/** The Authorization header for a request of ours. */
export function authorize(parts: SignedParts & { readonly destination: string }, key: SigningKey): string {
  const { origin, destination } = parts;
  const signature = encodeBase64(key.sign(bytesToSign(parts)));
  return formatServerAuthorization({ origin, destination, keyId: key.keyId, signature });
}
