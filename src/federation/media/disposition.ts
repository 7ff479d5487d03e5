/** File names in the `Content-Disposition` headers of others. RFC 6266 §4.1, RFC 8187 §3.2 */

const EXTENDED = /;\s*filename\*\s*=\s*(utf-8|iso-8859-1)'[^']*'([^\s;]+)/i;
const QUOTED = /;\s*filename\s*=\s*"((?:[^"\\]|\\.)*)"/i;
const TOKEN = /;\s*filename\s*=\s*([^\s;"]+)/i;

/** The file name that a header has, the one in Unicode if there are two; not yet fit for use. Undefined if there is none. */
export function dispositionFileName(header: string | undefined): string | undefined {
  if (header === undefined) return undefined;
  const [, charset, encoded] = EXTENDED.exec(header) ?? [];
  const extended = encoded === undefined ? undefined : decoded(encoded, charset ?? '');
  return extended ?? QUOTED.exec(header)?.[1]?.replace(/\\(.)/g, '$1') ?? TOKEN.exec(header)?.[1];
}

function decoded(text: string, charset: string): string | undefined {
  if (charset.toLowerCase() === 'iso-8859-1') {
    return text.replace(/%([0-9a-f]{2})/gi, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  }
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
