/**
 * The header by which one server proves to another who it is.
 * https://spec.matrix.org/v1.19/server-server-api/#request-authentication, RFC 9110 section 11.4
 */

/** What a server says of itself in a request; none of it is verified yet. */
export interface ServerCredentials {
  readonly origin: string;
  /** Older servers do not say whom they mean. */
  readonly destination: string | undefined;
  /** With its algorithm. */
  readonly keyId: string;
  /** As it came: base64 if all is well. */
  readonly signature: string;
}

/** Longest header that is read, in characters: two server names of 255, a key id and a signature fit well. */
const MAX_HEADER_LENGTH = 2048;
/** Most parameters of a header, unknown ones included. */
const MAX_PARAMETERS = 16;

const SCHEME = /^X-Matrix(?: +|$)/i;
/** `tchar` of RFC 9110, section 5.6.2. */
const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
/** As older servers write values: colons of server names and key ids, and the base64 of signatures, without quotes. */
const LENIENT_TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z:/[\]=]+/y;
/** A quoted string, RFC 9110 section 5.6.4; header values have no characters above U+00FF. */
const QUOTED = /"((?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*)"/y;
const SPACES = /[ \t]*/y;

/**
 * Reads `X-Matrix origin="…",destination="…",key="…",sig="…"`: names in any case and order, values as tokens or quoted strings
 * with escapes, spaces and tabs around commas and, as RFC 9110 has it, around the equals sign; unknown parameters are skipped.
 * `undefined` for anything else: another scheme, broken syntax, a parameter twice, one of the needed ones missing.
 */
export function parseServerAuthorization(header: string): ServerCredentials | undefined {
  if (header.length > MAX_HEADER_LENGTH) return undefined;
  const scheme = SCHEME.exec(header);
  if (scheme === null) return undefined;
  const parameters = readParameters(header, scheme[0].length);
  if (parameters === undefined) return undefined;
  const origin = parameters.get('origin');
  const keyId = parameters.get('key');
  // The specification's text calls it `signature` in one place, its examples and all servers `sig`.
  const signature = parameters.get('sig') ?? parameters.get('signature');
  if (origin === undefined || keyId === undefined || signature === undefined) return undefined;
  return { origin, destination: parameters.get('destination'), keyId, signature };
}

function readParameters(header: string, start: number): ReadonlyMap<string, string> | undefined {
  const parameters = new Map<string, string>();
  let at = start;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const match = pattern.exec(header);
    if (match !== null) at += match[0].length;
    return match;
  };
  for (;;) {
    take(SPACES);
    if (at === header.length) return parameters;
    // Empty elements of a list are allowed: RFC 9110, section 5.6.1.2.
    if (header[at] === ',') {
      at += 1;
      continue;
    }
    const name = take(TOKEN)?.[0].toLowerCase();
    take(SPACES);
    if (name === undefined || header[at] !== '=') return undefined;
    at += 1;
    take(SPACES);
    const value = take(QUOTED)?.[1]?.replaceAll(/\\(.)/g, '$1') ?? take(LENIENT_TOKEN)?.[0];
    if (value === undefined || parameters.has(name) || parameters.size === MAX_PARAMETERS) return undefined;
    parameters.set(name, value);
    take(SPACES);
    if (at < header.length && header[at] !== ',') return undefined;
  }
}

/** Writes the header in the one way that all servers, older ones included, read. */
export function formatServerAuthorization(credentials: ServerCredentials & { readonly destination: string }): string {
  const { origin, destination, keyId, signature } = credentials;
  return `X-Matrix origin="${origin}",destination="${destination}",key="${keyId}",sig="${signature}"`;
}
