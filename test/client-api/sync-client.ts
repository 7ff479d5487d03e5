/** What the tests of reading ask of the client API, and the shapes of its answers. */
import type { TestClient } from '#test/support/application.ts';

export interface EventAnswer {
  readonly type: string;
  readonly event_id: string;
  readonly sender: string;
  readonly state_key?: string;
  readonly content: Record<string, unknown>;
  readonly unsigned?: {
    readonly transaction_id?: string;
    readonly membership?: string;
    readonly prev_content?: unknown;
    readonly replaces_state?: string;
    readonly redacted_because?: EventAnswer;
  };
}

interface Events {
  readonly events: readonly EventAnswer[];
}

export interface TimelineAnswer extends Events {
  readonly limited: boolean;
  readonly prev_batch: string;
}

export interface RoomAnswer {
  readonly timeline: TimelineAnswer;
  readonly state?: Events;
  readonly state_after?: Events;
  readonly ephemeral?: Events;
  readonly account_data?: Events;
  readonly summary?: Record<string, unknown>;
  readonly unread_notifications?: Record<string, number>;
}

export interface SyncAnswer {
  readonly next_batch: string;
  readonly account_data?: Events;
  readonly rooms?: {
    readonly join?: Record<string, RoomAnswer>;
    readonly leave?: Record<string, RoomAnswer>;
    readonly invite?: Record<string, { readonly invite_state: Events }>;
    readonly knock?: Record<string, { readonly knock_state: Events }>;
  };
}

export interface SyncParameters {
  readonly since?: string;
  /** The id of a filter, or a filter. */
  readonly filter?: string | object;
  readonly timeout?: number;
  readonly full_state?: boolean;
  readonly use_state_after?: boolean;
  readonly 'org.matrix.msc4222.use_state_after'?: boolean;
}

export async function sync(client: TestClient, parameters: SyncParameters = {}): Promise<SyncAnswer> {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    query.set(name, typeof value === 'object' ? JSON.stringify(value) : String(value));
  }
  return (await client.ok('GET', `/sync?${query}`)) as unknown as SyncAnswer;
}

export async function createRoom(client: TestClient, body: object = {}): Promise<string> {
  return String((await client.ok('POST', '/createRoom', body)).room_id);
}

let transactions = 0;

/** Sends a text message; gives its event id. */
export async function sayIn(client: TestClient, roomId: string, body: string): Promise<string> {
  transactions += 1;
  const at = `/rooms/${roomId}/send/m.room.message/say${transactions}`;
  return String((await client.ok('PUT', at, { body, msgtype: 'm.text' })).event_id);
}

export function eventIds({ events }: Events): string[] {
  return events.map(({ event_id }) => event_id);
}
