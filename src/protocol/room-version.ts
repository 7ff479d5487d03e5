import {
  type AuthRuleNumbers,
  RULE_NUMBERS_V1,
  RULE_NUMBERS_V3,
  RULE_NUMBERS_V6,
  RULE_NUMBERS_V7,
  RULE_NUMBERS_V8,
  RULE_NUMBERS_V10,
  RULE_NUMBERS_V11,
  RULE_NUMBERS_V12,
} from './auth/rule-numbers.ts';

/**
 * How an event gets its id: its server chooses one and the event carries it (1 and 2), or it is the event's reference
 * hash, in plain base64 (3) or in the URL-safe alphabet (4 and later).
 */
export type EventIdFormat = 'opaque_with_domain' | 'reference_hash' | 'reference_hash_url_safe';

/** How a room gets its id: named by its creator's server, or the hash of its create event. */
export type RoomIdFormat = 'opaque_with_domain' | 'create_event_hash';

/** How states are resolved. */
export interface StateResolutionRules {
  /** Whether events are weighed by their depth (1) or by power and the mainline of power levels (2 and later). */
  readonly algorithm: 'by_depth' | 'by_power';
  /** Iterative auth checks begin with an empty state map, not with the unconflicted state (12 and later). */
  readonly startFromEmptyState: boolean;
  /** The full conflicted set takes in the conflicted state subgraph (12 and later). */
  readonly conflictedSubgraph: boolean;
}

/** What the authorisation rules ask. */
export interface AuthorizationRules {
  /** The sender and the server decide alone over `m.room.aliases` (before 6). */
  readonly aliasesOfOwnServer: boolean;
  /** Redactions take the redact level or a target of the same server (1 and 2). */
  readonly redactionPower: boolean;
  /** The creator is `content.creator` of the create event (before 11), not its sender. */
  readonly creatorInContent: boolean;
  /** Changes of `notifications` in the power levels are limited to the sender's power (6 and later). */
  readonly notificationLevels: boolean;
  /** Levels have to be integers (10 and later); before, what reads as a number counts as one. */
  readonly integerLevels: boolean;
  /** Membership `knock` and join rule `knock` (7 and later). */
  readonly knocking: boolean;
  /** Join rule `restricted` (8 and later). */
  readonly restrictedJoins: boolean;
  /** Join rule `knock_restricted` (10 and later). */
  readonly knockRestrictedJoins: boolean;
  /** Creators have infinite power and must not be listed in `m.room.power_levels` (12 and later). */
  readonly privilegedCreators: boolean;
  /** `content.additional_creators` of the create event names more creators (12 and later). */
  readonly additionalCreators: boolean;
  /** The number that the room version's specification gives each rule, for reports. */
  readonly ruleNumbers: AuthRuleNumbers;
}

/** Which part of a value redaction keeps: all of it, or of an object only these members. */
export type KeptPart = true | { readonly [key: string]: KeptPart };

/** What redaction keeps, and where a redaction names its target. */
export interface RedactionRules {
  /** The top-level keys of an event that stay. `content` is treated by `keptContent`. */
  readonly keptKeys: readonly string[];
  /** Event type → what stays of its content. The content of other types is emptied. */
  readonly keptContent: ReadonlyMap<string, KeptPart>;
  /** `redacts` is in `content` (11 and later), not at the top level. */
  readonly redactsInContent: boolean;
}

/** What a well-formed event looks like. */
export interface EventFormatRules {
  /** `prev_events` and `auth_events` hold pairs of id and hashes (1 and 2), not ids alone. */
  readonly referencesHoldHashes: boolean;
  /** Events have to be canonical JSON to the letter (6 and later): no fractions, no integers beyond ±(2^53-1). */
  readonly strictCanonicalJson: boolean;
  /**
   * A `type`, `state_key` or id of more than 255 bytes makes the event one to drop (11 and later). Before, one of at
   * most 255 code points is one to reject: servers once took it, and later events may name it.
   */
  readonly strictByteLimits: boolean;
  /** The create event carries a `room_id` (before 12). */
  readonly createEventHasRoomId: boolean;
  /** Events name the create event among their `auth_events` (before 12). */
  readonly createEventInAuthEvents: boolean;
}

/** Everything in which room versions differ. Logic asks a rule, never a version. */
export interface RoomVersionRules {
  /** The version's name, as in `room_version` of the create event. */
  readonly version: string;
  /** As the capabilities endpoint shows it. */
  readonly stability: 'stable' | 'unstable';
  readonly eventIdFormat: EventIdFormat;
  readonly roomIdFormat: RoomIdFormat;
  readonly stateResolution: StateResolutionRules;
  /** A signing key counts only for events from before its `valid_until_ts` (5 and later). */
  readonly enforceKeyValidity: boolean;
  readonly authorization: AuthorizationRules;
  readonly redaction: RedactionRules;
  readonly eventFormat: EventFormatRules;
}

const V1: RoomVersionRules = {
  version: '1',
  stability: 'stable',
  eventIdFormat: 'opaque_with_domain',
  roomIdFormat: 'opaque_with_domain',
  stateResolution: { algorithm: 'by_depth', startFromEmptyState: false, conflictedSubgraph: false },
  enforceKeyValidity: false,
  authorization: {
    aliasesOfOwnServer: true,
    redactionPower: true,
    creatorInContent: true,
    notificationLevels: false,
    integerLevels: false,
    knocking: false,
    restrictedJoins: false,
    knockRestrictedJoins: false,
    privilegedCreators: false,
    additionalCreators: false,
    ruleNumbers: RULE_NUMBERS_V1,
  },
  redaction: {
    keptKeys: [
      'auth_events',
      'content',
      'depth',
      'event_id',
      'hashes',
      'membership',
      'origin',
      'origin_server_ts',
      'prev_events',
      'prev_state',
      'room_id',
      'sender',
      'signatures',
      'state_key',
      'type',
    ],
    keptContent: new Map<string, KeptPart>([
      ['m.room.create', { creator: true }],
      ['m.room.member', { membership: true }],
      ['m.room.join_rules', { join_rule: true }],
      [
        'm.room.power_levels',
        {
          ban: true,
          events: true,
          events_default: true,
          kick: true,
          redact: true,
          state_default: true,
          users: true,
          users_default: true,
        },
      ],
      ['m.room.aliases', { aliases: true }],
      ['m.room.history_visibility', { history_visibility: true }],
    ]),
    redactsInContent: false,
  },
  eventFormat: {
    referencesHoldHashes: true,
    strictCanonicalJson: false,
    strictByteLimits: false,
    createEventHasRoomId: true,
    createEventInAuthEvents: true,
  },
};

const V2: RoomVersionRules = {
  ...V1,
  version: '2',
  stateResolution: { ...V1.stateResolution, algorithm: 'by_power' },
};

const V3: RoomVersionRules = {
  ...V2,
  version: '3',
  eventIdFormat: 'reference_hash',
  authorization: { ...V2.authorization, redactionPower: false, ruleNumbers: RULE_NUMBERS_V3 },
  eventFormat: { ...V2.eventFormat, referencesHoldHashes: false },
};

const V4: RoomVersionRules = { ...V3, version: '4', eventIdFormat: 'reference_hash_url_safe' };

const V5: RoomVersionRules = { ...V4, version: '5', enforceKeyValidity: true };

const V6: RoomVersionRules = {
  ...V5,
  version: '6',
  authorization: {
    ...V5.authorization,
    aliasesOfOwnServer: false,
    notificationLevels: true,
    ruleNumbers: RULE_NUMBERS_V6,
  },
  redaction: { ...V5.redaction, keptContent: withoutType(V5.redaction.keptContent, 'm.room.aliases') },
  eventFormat: { ...V5.eventFormat, strictCanonicalJson: true },
};

const V7: RoomVersionRules = {
  ...V6,
  version: '7',
  authorization: { ...V6.authorization, knocking: true, ruleNumbers: RULE_NUMBERS_V7 },
};

const V8: RoomVersionRules = {
  ...V7,
  version: '8',
  authorization: { ...V7.authorization, restrictedJoins: true, ruleNumbers: RULE_NUMBERS_V8 },
  redaction: { ...V7.redaction, keptContent: keepingAlso(V7.redaction.keptContent, 'm.room.join_rules', 'allow') },
};

const V9: RoomVersionRules = {
  ...V8,
  version: '9',
  redaction: {
    ...V8.redaction,
    keptContent: keepingAlso(V8.redaction.keptContent, 'm.room.member', 'join_authorised_via_users_server'),
  },
};

const V10: RoomVersionRules = {
  ...V9,
  version: '10',
  authorization: {
    ...V9.authorization,
    knockRestrictedJoins: true,
    integerLevels: true,
    ruleNumbers: RULE_NUMBERS_V10,
  },
};

const V11: RoomVersionRules = {
  ...V10,
  version: '11',
  authorization: { ...V10.authorization, creatorInContent: false, ruleNumbers: RULE_NUMBERS_V11 },
  redaction: {
    keptKeys: V10.redaction.keptKeys.filter((key) => key !== 'membership' && key !== 'origin' && key !== 'prev_state'),
    keptContent: new Map<string, KeptPart>([
      ...keepingAlso(V10.redaction.keptContent, 'm.room.power_levels', 'invite'),
      ['m.room.create', true],
      [
        'm.room.member',
        { membership: true, join_authorised_via_users_server: true, third_party_invite: { signed: true } },
      ],
      ['m.room.redaction', { redacts: true }],
    ]),
    redactsInContent: true,
  },
  eventFormat: { ...V10.eventFormat, strictByteLimits: true },
};

const V12: RoomVersionRules = {
  ...V11,
  version: '12',
  roomIdFormat: 'create_event_hash',
  stateResolution: { ...V11.stateResolution, startFromEmptyState: true, conflictedSubgraph: true },
  authorization: {
    ...V11.authorization,
    privilegedCreators: true,
    additionalCreators: true,
    ruleNumbers: RULE_NUMBERS_V12,
  },
  eventFormat: { ...V11.eventFormat, createEventHasRoomId: false, createEventInAuthEvents: false },
};

const TABLE: ReadonlyMap<string, RoomVersionRules> = byName(V1, V2, V3, V4, V5, V6, V7, V8, V9, V10, V11, V12);

/** The room versions this server can take part in, oldest first. */
export const SUPPORTED_ROOM_VERSIONS: readonly string[] = [...TABLE.keys()];

/**
 * The rules of a room version, or `undefined` if this server cannot take part in its rooms.
 * Source: "Room Versions".
 */
export function roomVersionRules(version: string): RoomVersionRules | undefined {
  return TABLE.get(version);
}

/**
 * `available` of the `m.room_versions` capability: version → stability.
 * Source: client-server API, "`m.room_versions` capability".
 */
export function availableRoomVersions(): { [version: string]: 'stable' | 'unstable' } {
  return Object.fromEntries([...TABLE.values()].map((rules) => [rules.version, rules.stability]));
}

function byName(...rows: readonly RoomVersionRules[]): ReadonlyMap<string, RoomVersionRules> {
  return new Map(rows.map((rules) => [rules.version, rules]));
}

function withoutType(kept: ReadonlyMap<string, KeptPart>, type: string): ReadonlyMap<string, KeptPart> {
  return new Map([...kept].filter(([keptType]) => keptType !== type));
}

/** What redaction keeps, with one more member of the content of one type. */
function keepingAlso(kept: ReadonlyMap<string, KeptPart>, type: string, member: string): ReadonlyMap<string, KeptPart> {
  const before = kept.get(type) ?? {};
  return new Map(kept).set(type, before === true ? true : { ...before, [member]: true });
}
