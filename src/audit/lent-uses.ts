/**
 * What administrators do with tokens that act as somebody else: each is on record as the administrator's, with the reason and the case
 * that they logged in for.
 *
 * What changes something is an entry each (`user.act_as`). What only reads, and what clients send by themselves, is one for each kind of
 * request and {@link WINDOW_MS}. And for each room of which an answer shows something there is one within that time (`content.read`), as
 * there is for each file (`media.read`): not one for each `/sync`, but never none.
 */
import { RawAnswer } from '#src/http/answer.ts';
import type { HandlerResult } from '#src/http/endpoint.ts';
import type { LentUse, LentWatch } from '#src/http/guard.ts';
import { actorOf } from './actor.ts';
import type { Audit, NewAuditEntry } from './audit.ts';
import { roomsShownIn } from './rooms-shown.ts';

/** For so long what was put on record of one token is not put there again. */
export const WINDOW_MS = 60 * 60 * 1000;
/** What is remembered to be on record. Beyond that the oldest is forgotten, and put on record again. */
export const MAX_REMEMBERED = 50_000;
/** Entries that are written together. */
const ENTRIES_A_TIME = 1_000;
/** What clients send that nobody writes by hand, or that asks for something although it has a body. */
const BY_CLIENTS =
  /\/(?:sync|search|typing\/\{userId\}|receipt\/\{receiptType\}\/\{eventId\}|read_markers|status|filter|keys\/(?:query|claim|upload)|publicRooms)$/;
/** What lists rooms and shows nothing that was written in them. */
const LISTS = /\/(?:publicRooms|joined_rooms|hierarchy|room_summary\/\{roomIdOrAlias\})$/;

export interface LentUsesOptions {
  readonly audit: Pick<Audit, 'record'>;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

export class LentUses implements LentWatch {
  readonly #options: LentUsesOptions;
  /** What is on record, and when that was; the oldest first. */
  readonly #noted = new Map<string, number>();

  constructor(options: LentUsesOptions) {
    this.#options = options;
  }

  async begins(use: LentUse): Promise<void> {
    const { endpoint, params, requester } = use;
    const { method, path } = endpoint;
    const operation = `${method} ${path}`;
    const entry: NewAuditEntry = {
      ...groundsOf(use),
      action: 'user.act_as',
      target: { kind: 'user', id: requester.userId },
      roomId: params['roomId'] || undefined,
      after: { operation, ...params },
    };
    if (method === 'GET' || BY_CLIENTS.test(path)) await this.#once(`${requester.tokenId} ${operation}`, entry);
    else await this.#options.audit.record(entry);
    const { serverName, mediaId } = params;
    if (!mediaId) return;
    const uri = `mxc://${serverName}/${mediaId}`;
    const shown = { ...groundsOf(use), action: 'media.read', target: { kind: 'media', id: uri } } as const;
    await this.#once(`${requester.tokenId} ${uri}`, shown);
  }

  async shows(use: LentUse, result: HandlerResult): Promise<void> {
    const { endpoint, requester, params } = use;
    if (LISTS.test(endpoint.path)) return;
    const rooms = new Set(roomsShownIn(contentOf(result)));
    if (endpoint.method === 'GET' && params['roomId']) rooms.add(params['roomId']);
    const wanted = [...rooms].filter((roomId) => !this.#isNoted(`${requester.tokenId} ${roomId}`));
    for (let from = 0; from < wanted.length; from += ENTRIES_A_TIME) {
      const some = wanted.slice(from, from + ENTRIES_A_TIME);
      await Promise.all(
        some.map((roomId) =>
          this.#once(`${requester.tokenId} ${roomId}`, {
            ...groundsOf(use),
            action: 'content.read',
            target: { kind: 'user', id: requester.userId },
            roomId,
            after: { operation: `${endpoint.method} ${endpoint.path}` },
          }),
        ),
      );
    }
  }

  #isNoted(what: string): boolean {
    const atMs = this.#noted.get(what);
    const nowMs = this.#options.clock();
    // A clock that was set back must not keep it open.
    return atMs !== undefined && nowMs >= atMs && nowMs < atMs + WINDOW_MS;
  }

  /** Puts an entry on record unless that was done a while ago. It counts as done only once it is durable. */
  async #once(what: string, entry: NewAuditEntry): Promise<void> {
    if (this.#isNoted(what)) return;
    const nowMs = this.#options.clock();
    await this.#options.audit.record(entry);
    this.#noted.delete(what);
    this.#noted.set(what, nowMs);
    const [oldest] = this.#noted.keys();
    if (this.#noted.size > MAX_REMEMBERED && oldest !== undefined) this.#noted.delete(oldest);
  }
}

function groundsOf({ requester, ip }: LentUse): Pick<NewAuditEntry, 'actor' | 'reason' | 'caseId' | 'ip'> {
  const { lentTo } = requester;
  return { actor: actorOf(requester), reason: lentTo?.reason, caseId: lentTo?.caseId, ip };
}

/** The JSON of an answer; undefined for files. */
function contentOf(result: HandlerResult): unknown {
  if (!(result instanceof RawAnswer)) return result;
  const { body, headers } = result;
  if (!headers['content-type']?.includes('json')) return undefined;
  if (typeof body === 'string') return JSON.parse(body);
  return body instanceof Uint8Array ? JSON.parse(Buffer.from(body).toString('utf8')) : undefined;
}
