import fc from 'fast-check';
import { type MutableJsonObject, setOwnValue } from './json-object.ts';
import type { JsonObject, JsonValue, Pdu } from './pdu.ts';

/** Keys and texts that trip naive code: what objects inherit, escapes, characters around and above U+FFFF. */
const AWKWARD = [
  '__proto__',
  'constructor',
  'toString',
  '',
  '"',
  '\\',
  '\n',
  '\u007f',
  '\u2028',
  '\uffff',
  '😀',
  '\ue000',
];

/** A text of any Unicode characters, or an awkward one. */
export const unicodeText = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(...AWKWARD));

const { value } = fc.letrec<{ value: JsonValue; array: JsonValue[]; object: JsonObject }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    unicodeText,
    fc.maxSafeInteger(),
    fc.boolean(),
    fc.constant(null),
    tie('array'),
    tie('object'),
  ),
  array: fc.array(tie('value'), { maxLength: 5 }),
  object: fc.array(fc.tuple(unicodeText, tie('value')), { maxLength: 6 }).map(ownEntries),
}));

/** Any JSON value that has a canonical encoding. */
export const canonicalValue: fc.Arbitrary<JsonValue> = value;

/** Any JSON object that has a canonical encoding. */
export const canonicalObject: fc.Arbitrary<JsonObject> = fc
  .array(fc.tuple(unicodeText, value), { maxLength: 8 })
  .map(ownEntries);

/** `__proto__` is a key like any other. */
function ownEntries(entries: readonly [string, JsonValue][]): JsonObject {
  const object: MutableJsonObject = {};
  for (const [key, member] of entries) setOwnValue(object, key, member);
  return object;
}

const TYPES_WITH_KEPT_CONTENT = [
  'm.room.create',
  'm.room.member',
  'm.room.join_rules',
  'm.room.power_levels',
  'm.room.history_visibility',
  'm.room.redaction',
];

const keptLookalikes = fc.record(
  {
    membership: value,
    join_authorised_via_users_server: value,
    third_party_invite: fc.oneof(
      value,
      fc.record({ signed: value, display_name: value }, { requiredKeys: [] }),
      fc.record({ display_name: value }),
      fc.constant({}),
    ),
    join_rule: value,
    allow: value,
    users: value,
    notifications: value,
    history_visibility: value,
    redacts: value,
    invite: value,
  },
  { requiredKeys: [] },
);

/** A PDU with any content, of a type that redaction knows or of any other, with members that no version knows. */
export const anyPdu: fc.Arbitrary<Pdu> = fc
  .record({
    type: fc.oneof(fc.constantFrom(...TYPES_WITH_KEPT_CONTENT, 'm.room.message', 'constructor'), unicodeText),
    content: fc.tuple(canonicalObject, keptLookalikes).map(([any, kept]) => ({ ...any, ...kept })),
    state_key: fc.option(unicodeText, { nil: undefined }),
    depth: fc.nat(),
    origin_server_ts: fc.maxSafeInteger(),
    unsigned: fc.option(canonicalObject, { nil: undefined }),
    extra: canonicalObject,
  })
  .map(({ extra, state_key, unsigned, ...rest }) => ({
    ...extra,
    ...rest,
    ...(state_key === undefined ? {} : { state_key }),
    ...(unsigned === undefined ? {} : { unsigned }),
    room_id: '!room:example.org',
    sender: '@alice:example.org',
    prev_events: ['$prev'],
    auth_events: ['$auth'],
    hashes: { sha256: 'c2hhMjU2' },
    signatures: { 'example.org': { 'ed25519:a': 'c2ln' } },
  }));
