/** Servers that a benchmark plays, on loopback with the certificates of the tests: each is a port of this process. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { finished } from 'node:stream/promises';
import { Pool } from 'undici';
import { encodeBase64 } from '#protocol/base64.ts';
import { buildEvent, type EventDraft } from '#protocol/build-event.ts';
import { canonicalJson } from '#protocol/canonical-json.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import { type RoomVersionRules, roomVersionRules } from '#protocol/room-version.ts';
import { type SigningKey, signingKeyFromSeed, signJson } from '#protocol/signing.ts';
import { authorize } from '#src/federation/signed-request.ts';

function fixture(name: string): URL {
  return new URL(`../../test/fixtures/tls/${name}`, import.meta.url);
}

/** For localhost, and who signed it. */
export const BENCH_TLS = {
  ca: fixture('ca.crt').pathname,
  cert: fixture('servers.crt').pathname,
  key: fixture('servers.key').pathname,
} as const;

const ROOM_VERSION = '12';
const DAY_MS = 24 * 60 * 60 * 1000;

/** One server that is played. */
export interface BenchPeer {
  readonly name: string;
  readonly key: SigningKey;
  /** Transactions that it was sent. */
  transactions: number;
  /** From now on nothing is at its port. */
  stop(): Promise<void>;
}

/** The servers that are played, and the rooms that they are in. */
export class BenchPeers {
  readonly peers: BenchPeer[] = [];
  readonly rooms = new Map<string, PeerRoom>();

  static async start(count: number): Promise<BenchPeers> {
    const all = new BenchPeers();
    for (let index = 0; index < count; index += 1) all.peers.push(await all.#listen(index));
    return all;
  }

  /** A room with members that are spread over the servers; the first server is its creator's. */
  makeRoom(members: number, servers: readonly BenchPeer[] = this.peers): PeerRoom {
    const room = new PeerRoom(servers, members);
    this.rooms.set(room.roomId, room);
    return room;
  }

  async stop(): Promise<void> {
    await Promise.all(this.peers.map((peer) => peer.stop()));
  }

  async #listen(index: number): Promise<BenchPeer> {
    const server: Server = createServer(
      { cert: readFileSync(BENCH_TLS.cert), key: readFileSync(BENCH_TLS.key) },
      (request, response) => void this.#answer(peer, request, response),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const peer: BenchPeer = {
      name: `localhost:${port}`,
      key: signingKeyFromSeed('ed25519:bench', Buffer.alloc(32, `peer ${index}`)),
      transactions: 0,
      stop: async () => {
        if (!server.listening) return;
        server.closeAllConnections();
        server.close();
        await once(server, 'close');
      },
    };
    return peer;
  }

  async #answer(peer: BenchPeer, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = request.url ?? '';
    if (url.startsWith('/_matrix/federation/v1/send/')) {
      // What is in it is of no interest, and looking at it takes time from who measures.
      await finished(request.resume());
      peer.transactions += 1;
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end('{"pdus":{}}');
      return;
    }
    const body = request.method === 'PUT' ? ((await json(request)) as JsonObject) : {};
    const answer = this.#answerTo(peer, url, body);
    response.writeHead(answer === undefined ? 404 : 200, { 'content-type': 'application/json' });
    response.end(answer ?? '{"errcode":"M_UNRECOGNIZED","error":"Not played"}');
  }

  #answerTo(peer: BenchPeer, url: string, body: JsonObject): string | undefined {
    if (url.startsWith('/_matrix/key/v2/server')) return JSON.stringify(keyAnswer(peer));
    const [, action = '', first = ''] = /^\/_matrix\/federation\/v\d\/(\w+)\/([^/?]+)/.exec(url) ?? [];
    const room = this.rooms.get(decodeURIComponent(first));
    if (action === 'make_join') return room?.template(decodeURIComponent(url.split('/')[6]?.split('?')[0] ?? ''));
    return action === 'send_join' ? room?.join(peer, body as Pdu) : undefined;
  }
}

function keyAnswer({ name, key }: BenchPeer): JsonObject {
  return signJson(
    {
      server_name: name,
      valid_until_ts: Date.now() + DAY_MS,
      verify_keys: { [key.keyId]: { key: encodeBase64(key.publicKey) } },
      old_verify_keys: {},
    },
    name,
    key,
  );
}

/** A room that only the played servers were in at first. */
export class PeerRoom {
  readonly roomId: string;
  readonly servers: readonly BenchPeer[];
  readonly rules: RoomVersionRules;
  readonly #events: Pdu[] = [];
  readonly #chain: Pdu[] = [];
  readonly #authEvents: string[] = [];
  readonly #members = new Map<string, string>();
  #last = '';
  #depth = 0;
  #clock = Date.now() - DAY_MS;

  constructor(servers: readonly BenchPeer[], members: number) {
    const rules = roomVersionRules(ROOM_VERSION);
    const [first] = servers;
    if (rules === undefined || first === undefined) throw new Error('a room needs a server and a version');
    this.rules = rules;
    this.servers = servers;
    const creator = this.member(0);
    const create = this.#build(
      first,
      { sender: creator, type: 'm.room.create', state_key: '' },
      { room_version: ROOM_VERSION },
    );
    this.roomId = `!${create.eventId.slice(1)}`;
    this.#join(0);
    for (const [type, content] of [
      ['m.room.power_levels', { users_default: 0 }],
      ['m.room.join_rules', { join_rule: 'public' }],
    ] as const) {
      const own = this.#members.get(creator) ?? '';
      const { eventId } = this.#build(first, { sender: creator, type, state_key: '' }, content, [
        ...this.#authEvents,
        own,
      ]);
      this.#authEvents.push(eventId);
    }
    this.#chain.push(...this.#events);
    for (let index = 1; index < members; index += 1) this.#join(index);
  }

  /** The id of a member; members are dealt to the servers in turn. */
  member(index: number): string {
    return `@user${index}:${this.servers[index % this.servers.length]?.name}`;
  }

  /** The newest event. */
  get last(): string {
    return this.#last;
  }

  /** Says that another event, of whichever server, is the newest. */
  goOn(eventId: string, depth: number): void {
    this.#last = eventId;
    this.#depth = depth;
  }

  /** A message of a member behind the newest event, or behind others. */
  message(index: number, body: string, after?: { readonly eventId: string; readonly depth: number }) {
    const sender = this.member(index);
    const server = this.servers[index % this.servers.length];
    if (server === undefined) throw new Error('nobody sends this');
    const auth = [this.#authEvents[0] ?? '', this.#members.get(sender) ?? ''];
    const from = after ?? { eventId: this.#last, depth: this.#depth };
    const draft = this.#draft({ sender, type: 'm.room.message' }, { msgtype: 'm.text', body }, auth, from);
    const { pdu, eventId } = buildEvent(draft, this.rules, server.name, server.key);
    return { pdu, eventId, depth: pdu.depth };
  }

  /** The answer to `make_join`. */
  template(userId: string): string {
    return JSON.stringify({ room_version: ROOM_VERSION, event: this.joinDraft(userId) });
  }

  /** The join of a user who is not in the room yet. */
  joinDraft(userId: string): EventDraft {
    const member = { sender: userId, type: 'm.room.member', state_key: userId };
    return this.#draft(member, { membership: 'join' }, this.#authEvents, { eventId: this.#last, depth: this.#depth });
  }

  /** The answer to `send_join`. */
  join(peer: BenchPeer, event: Pdu): string {
    const answer = JSON.stringify({
      origin: peer.name,
      event,
      state: this.#events,
      auth_chain: this.#chain,
      members_omitted: false,
      servers_in_room: this.servers.map(({ name }) => name),
    });
    // Signatures are no part of what an event is named by.
    const { eventId } = this.signed(peer, event);
    this.goOn(eventId, event.depth);
    return answer;
  }

  /** An event that another server proposed, as one of these servers signs it. */
  signed(peer: BenchPeer, event: JsonObject): { readonly pdu: Pdu; readonly eventId: string } {
    const { hashes: _, signatures: __, unsigned: ___, ...draft } = event;
    return buildEvent(draft as unknown as EventDraft, this.rules, peer.name, peer.key);
  }

  #join(index: number): void {
    const userId = this.member(index);
    const server = this.servers[index % this.servers.length];
    if (server === undefined) return;
    const member = { sender: userId, type: 'm.room.member', state_key: userId };
    const { eventId } = this.#build(server, member, { membership: 'join' }, this.#authEvents);
    this.#members.set(userId, eventId);
  }

  #build(
    server: BenchPeer,
    event: { readonly sender: string; readonly type: string; readonly state_key?: string },
    content: JsonObject,
    auth: readonly string[] = [],
  ): { readonly eventId: string } {
    const draft = this.#draft(event, content, auth, { eventId: this.#last, depth: this.#depth });
    const { pdu, eventId } = buildEvent(draft, this.rules, server.name, server.key);
    this.#events.push(pdu);
    this.goOn(eventId, pdu.depth);
    return { eventId };
  }

  #draft(
    event: { readonly sender: string; readonly type: string; readonly state_key?: string },
    content: JsonObject,
    auth: readonly string[],
    { eventId, depth }: { readonly eventId: string; readonly depth: number },
  ): EventDraft {
    this.#clock += 1;
    return {
      ...event,
      ...(event.type !== 'm.room.create' && { room_id: this.roomId }),
      content,
      origin_server_ts: this.#clock,
      depth: depth + 1,
      prev_events: eventId === '' ? [] : [eventId],
      auth_events: [...auth],
    };
  }
}

/** Signed requests of played servers to the one that is measured. */
export class PeerCalls {
  readonly #pool: Pool;
  readonly #destination: string;

  constructor(destination: string, connections: number) {
    this.#destination = destination;
    this.#pool = new Pool(`https://${destination}`, { connect: { ca: readFileSync(BENCH_TLS.ca) }, connections });
  }

  /** The answer's text. Throws if it is not 200. */
  async call(peer: BenchPeer, method: 'GET' | 'PUT', uri: string, body?: JsonObject): Promise<string> {
    const content = body === undefined ? undefined : canonicalJson(body);
    const destination = this.#destination;
    const authorization = authorize({ method, uri, origin: peer.name, destination, content }, peer.key);
    const answer = await this.#pool.request({
      method,
      path: uri,
      headers: { authorization, ...(content !== undefined && { 'content-type': 'application/json' }) },
      ...(content !== undefined && { body: content }),
      bodyTimeout: 0,
      headersTimeout: 0,
    });
    const said = await answer.body.text();
    if (answer.statusCode !== 200) throw new Error(`${method} ${uri}: ${answer.statusCode} ${said.slice(0, 300)}`);
    return said;
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}
