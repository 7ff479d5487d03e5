/** What the profiles projection can be asked. All of it reads the committed frontier of the reader, synchronously. */
import type { Reader } from '#projections/engine/reader.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { profiles } from './projection.ts';

/** The part of a profile that goes into a user's member events. */
export interface MemberProfile {
  readonly displayname?: string;
  /** An `mxc://` URI. */
  readonly avatar_url?: string;
}

/** A local user's whole profile: its fields and their values; empty for a user who set none. */
export function fullProfileOf(reader: Reader, userId: string): JsonObject {
  return reader.get(profiles, [userId]) ?? {};
}

/** What a local user's member events say; empty for a user who set nothing. */
export function profileOf(reader: Reader, userId: string): MemberProfile {
  const { displayname, avatar_url } = fullProfileOf(reader, userId);
  return {
    ...(typeof displayname === 'string' && { displayname }),
    ...(typeof avatar_url === 'string' && { avatar_url }),
  };
}
