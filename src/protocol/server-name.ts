/** Longest host of a server name, in characters. */
const MAX_HOST_LENGTH = 255;

/** A server name, taken apart. */
export interface ServerName {
  /** Without the brackets of an IPv6 literal. */
  readonly host: string;
  readonly kind: 'dns' | 'ipv4' | 'ipv6';
  /** As given; `undefined` if the name has none. */
  readonly port: number | undefined;
}

const MAX_PORT = 65_535;
const NAME_AND_PORT = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9A-Za-z.-]{1,255}))(?::([0-9]{1,5}))?$/;
const DOTTED_QUAD = /^[0-9]{1,3}(?:\.[0-9]{1,3}){3}$/;

/**
 * Takes a server name apart. `undefined` if the text is none. Source: appendices, "Server Name".
 */
export function parseServerName(text: string): ServerName | undefined {
  const match = NAME_AND_PORT.exec(text);
  if (match === null) return undefined;
  const [, ipv6, name, portText] = match;
  const port = portText === undefined ? undefined : Number(portText);
  if (port !== undefined && port > MAX_PORT) return undefined;
  if (ipv6 !== undefined) return isIpv6(ipv6) ? { host: ipv6, kind: 'ipv6', port } : undefined;
  if (name === undefined || name.length > MAX_HOST_LENGTH) return undefined;
  if (!DOTTED_QUAD.test(name)) return { host: name, kind: 'dns', port };
  return isIpv4(name) ? { host: name, kind: 'ipv4', port } : undefined;
}

/** Whether a text is a server name: DNS name, IPv4 or bracketed IPv6 literal, optionally with a port. */
export function isServerName(text: string): boolean {
  return parseServerName(text) !== undefined;
}

function isIpv4(text: string): boolean {
  return DOTTED_QUAD.test(text) && text.split('.').every((part) => Number(part) <= 255);
}

const IPV6_GROUPS = 8;
const IPV6_GROUP = /^[0-9A-Fa-f]{1,4}$/;

/** RFC 3513, section 2.2: eight groups, `::` once for a run of zeros, the last two groups as a dotted quad if wished. */
function isIpv6(text: string): boolean {
  const halves = text.split('::');
  if (halves.length > 2) return false;
  const groups = halves.flatMap((half, index) => groupsOf(half, index === halves.length - 1));
  if (groups.includes(false)) return false;
  return halves.length === 2 ? groups.length < IPV6_GROUPS : groups.length === IPV6_GROUPS;
}

/** One entry for each 16-bit group of a part of the address: whether it is well formed. */
function groupsOf(half: string, isLast: boolean): boolean[] {
  if (half === '') return [];
  const parts = half.split(':');
  return parts.flatMap((part, index) => {
    if (isLast && index === parts.length - 1 && part.includes('.')) {
      const valid = isIpv4(part);
      return [valid, valid];
    }
    return [IPV6_GROUP.test(part)];
  });
}
