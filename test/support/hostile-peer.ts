/** Another server of the network that says whatever a test wants, with a room of its own; its keys and signatures are right. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { authEventTypes } from '#protocol/auth/auth-events.ts';
import { encodeBase64 } from '#protocol/base64.ts';
import { canonicalJson } from '#protocol/canonical-json.ts';
import { eventReference } from '#protocol/event-references.ts';
import { eventIdOf, referenceHash } from '#protocol/hashing.ts';
import { parseJson } from '#protocol/json-limits.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import { redact } from '#protocol/redaction.ts';
import { signJson } from '#protocol/signing.ts';
import { authorize } from '#src/federation/signed-request.ts';
import { ForeignRoom, keyOf, keyOfServer } from '#src/rooms/receive/foreign-room.test-support.ts';
import { startTlsPeer, type TlsPeer } from './tls-peer.ts';

const KEY_LIFETIME_MS = 7 * 24 * 60 * 60 * 1000;

/** Answers a request; undefined leaves it to the honest answer. A text goes out as it is; `hang` never ends. */
export type Lie = (request: {
  readonly method: string;
  readonly path: string;
  readonly body: JsonObject;
}) =>
  | { readonly status?: number; readonly body: JsonObject | string }
  | ((response: ServerResponse) => void)
  | undefined;

export class HostilePeer {
  readonly name: string;
  readonly room: ForeignRoom;
  readonly peer: TlsPeer;
  /** Asked before every honest answer. */
  lie: Lie = () => undefined;
  /** The end of the time for which its keys are good, in milliseconds since the epoch. */
  readonly #validUntil: number;
  #serial = 0;

  private constructor(name: string, room: ForeignRoom, peer: TlsPeer, validUntil: number) {
    this.name = name;
    this.room = room;
    this.peer = peer;
    this.#validUntil = validUntil;
  }

  /** `name` is a server name, or what makes one of the port. `nowMs` is the time of the server under test. */
  static async start(name: string | ((port: number) => string), version: string, nowMs: number): Promise<HostilePeer> {
    let self: HostilePeer | undefined;
    const peer = await startTlsPeer((request, response) => void self?.answer(request, response));
    const serverName = typeof name === 'string' ? name : name(peer.port);
    const room = new ForeignRoom(version, { ann: `@ann:${serverName}`, bob: `@bob:${serverName}` });
    self = new HostilePeer(serverName, room, peer, nowMs + KEY_LIFETIME_MS);
    return self;
  }

  close(): Promise<void> {
    return this.peer.close();
  }

  /** How many requests it got whose path has this in it. */
  count(part: string): number {
    return this.peer.requests.filter((request) => request.includes(part)).length;
  }

  /** A signed request, ready to be sent. */
  request(
    destination: string,
    method: string,
    path: string,
    content: JsonObject,
  ): { authorization: string; payload: string } {
    const payload = canonicalJson(content, 'loose');
    const parts = { method, uri: path, origin: this.name, destination, content: payload };
    return { authorization: authorize(parts, keyOfServer(this.name)), payload };
  }

  /** A transaction as its path and content. */
  transaction(pdus: readonly JsonObject[], edus: readonly JsonObject[] = [], id = `t${++this.#serial}`) {
    const content: JsonObject = {
      origin: this.name,
      origin_server_ts: 1,
      pdus: [...pdus],
      edus: [...edus],
    };
    return { path: `/_matrix/federation/v1/send/${id}`, content };
  }

  async answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    const body = text === '' ? {} : (parseJson(text) as JsonObject);
    const request = { method: incoming.method ?? '', path: incoming.url ?? '', body };
    const said = this.lie(request) ?? this.#honest(request);
    if (typeof said === 'function') return said(response);
    const { status = 200, body: answer } = said;
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(typeof answer === 'string' ? answer : JSON.stringify(answer));
  }

  #honest({ path, body }: { path: string; body: JsonObject }): { status?: number; body: JsonObject } {
    const [, , version, name = '', ...rest] = (path.split('?')[0] ?? '').split('/').slice(1).map(decodeURIComponent);
    if (path.startsWith('/_matrix/key/v2/server')) return { body: this.#keys() };
    if (version === undefined) return { status: 404, body: {} };
    if (name === 'make_join') return { body: this.#template(rest[1] ?? '') };
    if (name === 'send_join') return { body: this.#join(body as Pdu) };
    if (name === 'event') {
      const event = this.room.events.get(rest[0] ?? '');
      return event === undefined ? { status: 404, body: {} } : { body: { pdus: [event.pdu] } };
    }
    if (name === 'get_missing_events') return { body: { events: [] } };
    if (name === 'send') return { body: { pdus: {} } };
    return { status: 404, body: { errcode: 'M_UNRECOGNIZED' } };
  }

  #keys(): JsonObject {
    const key = keyOfServer(this.name);
    return signJson(
      {
        server_name: this.name,
        valid_until_ts: this.#validUntil,
        verify_keys: { [key.keyId]: { key: encodeBase64(key.publicKey) } },
        old_verify_keys: {},
      },
      this.name,
      key,
    );
  }

  #template(userId: string): JsonObject {
    const { room } = this;
    const unlinked = { type: 'm.room.member', sender: userId, state_key: userId, content: { membership: 'join' } };
    const before = room.resolve(room.ends.map((id) => room.events.get(id)?.after ?? new Map()));
    const reference = (eventId: string) =>
      eventReference(
        eventId,
        () => referenceHash(redact((room.events.get(eventId) as { pdu: Pdu }).pdu, room.rules), room.rules),
        room.rules,
      );
    const auth = authEventTypes(unlinked, room.rules).flatMap(
      ({ type, stateKey }) => before.get(keyOf(type, stateKey)) ?? [],
    );
    return {
      room_version: room.rules.version,
      event: {
        ...unlinked,
        room_id: room.roomId,
        depth: 1 + Math.max(...room.ends.map((id) => room.events.get(id)?.pdu.depth ?? 0)),
        prev_events: room.ends.map(reference),
        auth_events: auth.map(reference),
      } as unknown as JsonObject,
    };
  }

  #join(pdu: Pdu): JsonObject {
    const { room } = this;
    const eventId = eventIdOf(pdu, room.rules);
    if (!room.events.has(eventId)) room.take(eventId, pdu);
    const before = room.events.get(eventId)?.before ?? new Map<string, string>();
    return {
      origin: this.name,
      event: pdu,
      state: [...before.values()].flatMap((id) => room.events.get(id)?.pdu ?? []),
      auth_chain: room.withAuthChain(before.values()),
      members_omitted: false,
    };
  }
}
