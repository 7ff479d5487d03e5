/** What the tests of sliding sync ask, and the shapes of the answers. */
import type { TestAnswer, TestClient } from '#test/support/application.ts';
import type { EventAnswer } from './sync-client.ts';

/** The path under which clients find it today. */
export const SLIDING_SYNC = '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync';

export interface SlidingRoom {
  readonly initial?: boolean;
  readonly name?: string | null;
  readonly avatar?: string | null;
  readonly heroes?: readonly { readonly user_id: string; readonly displayname?: string }[];
  readonly is_dm?: boolean;
  readonly membership?: string;
  readonly required_state?: readonly EventAnswer[];
  readonly timeline?: readonly EventAnswer[];
  readonly prev_batch?: string;
  readonly limited?: boolean;
  readonly num_live?: number;
  readonly joined_count?: number;
  readonly invited_count?: number;
  readonly notification_count?: number;
  readonly highlight_count?: number;
  readonly bump_stamp?: number;
  readonly unstable_expanded_timeline?: boolean;
  readonly invite_state?: readonly EventAnswer[];
  readonly knock_state?: readonly EventAnswer[];
}

export interface SlidingAnswer {
  readonly pos: string;
  readonly txn_id?: string;
  readonly lists: Record<string, { readonly count: number }>;
  readonly rooms: Record<string, SlidingRoom>;
  readonly extensions: {
    readonly to_device?: { readonly next_batch: string; readonly events: readonly EventAnswer[] };
    readonly e2ee?: {
      readonly device_lists?: { readonly changed: readonly string[]; readonly left: readonly string[] };
      readonly device_one_time_keys_count: Record<string, number>;
      readonly device_unused_fallback_key_types: readonly string[];
    };
    readonly account_data?: {
      readonly global: readonly EventAnswer[];
      readonly rooms: Record<string, readonly EventAnswer[]>;
    };
    readonly receipts?: { readonly rooms: Record<string, { readonly content: Record<string, unknown> }> };
    readonly typing?: {
      readonly rooms: Record<string, { readonly content: { readonly user_ids: readonly string[] } }>;
    };
  };
}

export interface SlidingQuery {
  readonly pos?: string;
  readonly timeout?: number;
}

/** Everything that is in the list, with `limit` events. */
export function everything(limit = 10, rest: object = {}): object {
  return { lists: { all: { ranges: [[0, 99]], timeline_limit: limit, required_state: [], ...rest } } };
}

export function slidingCall(client: TestClient, body: object, query: SlidingQuery = {}): Promise<TestAnswer> {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) parameters.set(name, String(value));
  return client.call('POST', `${SLIDING_SYNC}?${parameters}`, body);
}

export async function slide(client: TestClient, body: object, query: SlidingQuery = {}): Promise<SlidingAnswer> {
  const { status, body: answer } = await slidingCall(client, body, query);
  if (status !== 200) throw new Error(`sliding sync: ${status} ${JSON.stringify(answer)}`);
  return answer as unknown as SlidingAnswer;
}
