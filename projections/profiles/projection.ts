/** Profiles of local users. */

import type { Projection } from '#projections/engine/projection.ts';
import { defineTable, json, str, tuple } from '#projections/engine/table.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { type MutableJsonObject, setOwnValue } from '#protocol/json-object.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { PROFILE_SET, readProfile } from './records.ts';

export const profiles = defineTable({
  name: 'profiles.profiles',
  key: tuple<[userId: string]>(str),
  value: json<JsonObject>(),
  why: 'A profile is under 64 KiB and mostly asked for whole, so it is one row.',
  hide: ([userId], profile, { users }) => (users.has(userId) ? {} : profile),
});

export const profilesProjection: Projection = {
  name: 'profiles',
  version: 1,
  tables: [profiles],
  apply(tx, record) {
    if (record.kind !== PROFILE_SET) return;
    const read = readProfile(record);
    if (read === undefined) return;
    const { [read.field]: _, ...others } = tx.get(profiles, [read.userId]) ?? {};
    const profile: MutableJsonObject = others;
    if (read.valueJson !== undefined) setOwnValue(profile, read.field, parseJson(read.valueJson));
    tx.put(profiles, [read.userId], profile as JsonObject);
  },
};
