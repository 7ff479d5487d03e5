import { type AuthRuleNumbers, RULE_NUMBERS_V11, RULE_NUMBERS_V12 } from './auth/rule-numbers.ts';

/** How an event gets its id. */
export type EventIdFormat = 'reference_hash_url_safe';

/** How a room gets its id: named by its creator's server, or the hash of its create event. */
export type RoomIdFormat = 'opaque_with_domain' | 'create_event_hash';

/** What state resolution does differently from room version 2's algorithm. */
export interface StateResolutionRules {
  /** Iterative auth checks begin with an empty state map, not with the unconflicted state (12 and later). */
  readonly startFromEmptyState: boolean;
  /** The full conflicted set takes in the conflicted state subgraph (12 and later). */
  readonly conflictedSubgraph: boolean;
}

/** What the authorisation rules ask. */
export interface AuthorizationRules {
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

const V11: RoomVersionRules = {
  version: '11',
  stability: 'stable',
  eventIdFormat: 'reference_hash_url_safe',
  roomIdFormat: 'opaque_with_domain',
  stateResolution: { startFromEmptyState: false, conflictedSubgraph: false },
  enforceKeyValidity: true,
  authorization: {
    knocking: true,
    restrictedJoins: true,
    knockRestrictedJoins: true,
    privilegedCreators: false,
    additionalCreators: false,
    ruleNumbers: RULE_NUMBERS_V11,
  },
  redaction: {
    keptKeys: [
      'auth_events',
      'content',
      'depth',
      'event_id',
      'hashes',
      'origin_server_ts',
      'prev_events',
      'room_id',
      'sender',
      'signatures',
      'state_key',
      'type',
    ],
    keptContent: new Map<string, KeptPart>([
      ['m.room.create', true],
      [
        'm.room.member',
        { membership: true, join_authorised_via_users_server: true, third_party_invite: { signed: true } },
      ],
      ['m.room.join_rules', { join_rule: true, allow: true }],
      [
        'm.room.power_levels',
        {
          ban: true,
          events: true,
          events_default: true,
          invite: true,
          kick: true,
          redact: true,
          state_default: true,
          users: true,
          users_default: true,
        },
      ],
      ['m.room.history_visibility', { history_visibility: true }],
      ['m.room.redaction', { redacts: true }],
    ]),
    redactsInContent: true,
  },
  eventFormat: { createEventHasRoomId: true, createEventInAuthEvents: true },
};

const V12: RoomVersionRules = {
  ...V11,
  version: '12',
  roomIdFormat: 'create_event_hash',
  stateResolution: { startFromEmptyState: true, conflictedSubgraph: true },
  authorization: {
    ...V11.authorization,
    privilegedCreators: true,
    additionalCreators: true,
    ruleNumbers: RULE_NUMBERS_V12,
  },
  eventFormat: { createEventHasRoomId: false, createEventInAuthEvents: false },
};

const TABLE: ReadonlyMap<string, RoomVersionRules> = new Map([V11, V12].map((rules) => [rules.version, rules]));

/** The room versions this server can take part in, oldest first. */
export const SUPPORTED_ROOM_VERSIONS: readonly string[] = [...TABLE.keys()];

/** The rules of a room version, or `undefined` if it is not supported. */
export function roomVersionRules(version: string): RoomVersionRules | undefined {
  return TABLE.get(version);
}

/** `available` of the `m.room_versions` capability: version → stability. */
export function availableRoomVersions(): { [version: string]: 'stable' | 'unstable' } {
  return Object.fromEntries([...TABLE.values()].map((rules) => [rules.version, rules.stability]));
}
