/**
 * Which servers a room lets take part. https://spec.matrix.org/v1.19/client-server-api/#server-access-control-lists-acls-for-rooms
 */
import { ownValue } from '#protocol/json-object.ts';
import type { JsonObject, JsonValue } from '#protocol/pdu.ts';
import { parseServerName } from '#protocol/server-name.ts';

/** Whether a server may take part in a room. */
export type ServerAcl = (serverName: string) => boolean;

/** Rooms without a list let everybody in. */
export const ALLOW_ALL: ServerAcl = () => true;

/**
 * What the content of a room's `m.room.server_acl` event says; `undefined` where the room has none. A port is not looked at, and
 * neither is case. `*` stands for any run of characters, `?` for one. Entries that are not strings match nothing; a list that is
 * no list is an empty one, so an event without `allow` shuts everybody out, as the specification has it. The caller sees to it
 * that this server itself is never shut out of what it does.
 */
export function serverAclOf(content: JsonObject | undefined): ServerAcl {
  if (content === undefined) return ALLOW_ALL;
  // Missing, or no boolean, counts as true.
  const allowsLiterals = ownValue(content, 'allow_ip_literals') !== false;
  const denied = compile(ownValue(content, 'deny'));
  const allowed = compile(ownValue(content, 'allow'));
  return (serverName) => {
    const name = parseServerName(serverName);
    if (name === undefined) return false;
    if (!allowsLiterals && name.kind !== 'dns') return false;
    // A dot at the end of a name leads to the same server.
    const host = (name.kind === 'ipv6' ? `[${name.host}]` : name.host.replace(/\.+$/, '')).toLowerCase();
    return !denied(host) && allowed(host);
  };
}

type Matcher = (host: string) => boolean;

function compile(list: JsonValue | undefined): Matcher {
  const patterns = Array.isArray(list) ? (list as JsonValue[]).filter((one) => typeof one === 'string') : [];
  const exact = new Set<string>();
  const globs: string[] = [];
  for (const pattern of patterns) {
    const lower = pattern.toLowerCase();
    if (/[*?]/.test(lower)) globs.push(lower);
    else exact.add(lower);
  }
  return (host) => exact.has(host) || globs.some((glob) => matchesGlob(host, glob));
}

/**
 * Whether a text is what a pattern describes. Goes back only to the last `*`, so the time is at most the product of the lengths,
 * whatever the pattern.
 */
export function matchesGlob(text: string, pattern: string): boolean {
  let at = 0;
  let patternAt = 0;
  let starAt = -1;
  let resumeAt = 0;
  while (at < text.length) {
    const expected = pattern[patternAt];
    if (expected === '*') {
      starAt = patternAt;
      resumeAt = at;
      patternAt += 1;
    } else if (expected === '?' || expected === text[at]) {
      at += 1;
      patternAt += 1;
    } else if (starAt >= 0) {
      // The last star takes one character more.
      resumeAt += 1;
      at = resumeAt;
      patternAt = starAt + 1;
    } else {
      return false;
    }
  }
  while (pattern[patternAt] === '*') patternAt += 1;
  return patternAt === pattern.length;
}
