import type { SpelledNumber } from './loose-numbers.ts';

/** Any JSON value. Only what `parseJsonExactly` makes holds spelled numbers. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject | SpelledNumber;

/** A JSON object. Keys that are absent read as `undefined`. */
export interface JsonObject {
  readonly [key: string]: JsonValue | undefined;
}

/** How an event names another: by its id, in room versions 1 and 2 with the hash of the event that is meant. */
export type EventReference = string | readonly [eventId: string, hashes: { readonly sha256: string }];

/**
 * A persistent data unit as it travels between servers. In room versions 1 and 2 it also carries its `event_id`, and
 * `prev_events` and `auth_events` hold pairs of id and hashes: read them with `prevEventIdsOf` and `authEventIdsOf`.
 * Only the fields that the specification names are typed; others stay in place and are hashed and signed with the rest.
 * Source: server-server API, "PDUs"; rooms/v11 and rooms/v12, "Event format".
 */
export interface Pdu extends JsonObject {
  readonly type: string;
  /** Absent from the create event where the room version makes the room id from its hash (version 12). */
  readonly room_id?: string;
  readonly sender: string;
  readonly state_key?: string;
  readonly content: JsonObject;
  /**
   * Milliseconds since the epoch, by the clock of the sender's server. Before room version 6 it may be a {@link SpelledNumber},
   * which can be reckoned with as a number; `Number` makes it one.
   */
  readonly origin_server_ts: number;
  readonly depth: number;
  readonly prev_events: readonly EventReference[];
  readonly auth_events: readonly EventReference[];
  /** Unpadded base64 content hash. */
  readonly hashes: { readonly sha256: string };
  /** Server name → key id → unpadded base64 signature. */
  readonly signatures: { readonly [serverName: string]: { readonly [keyId: string]: string } };
  readonly unsigned?: JsonObject;
}
