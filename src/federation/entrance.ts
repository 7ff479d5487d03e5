/**
 * Users of this server that come into rooms through other servers, knock on them, or turn invites down.
 * https://spec.matrix.org/v1.19/server-server-api/#joining-rooms
 */
import type { Reader } from '#projections/engine/reader.ts';
import { eventAt, findRoom, referenceHashOf, strippedStateOf, userRoomOf } from '#projections/rooms/queries.ts';
import type { BuiltEvent, EventDraft } from '#protocol/build-event.ts';
import { eventReference } from '#protocol/event-references.ts';
import { serverNameOf } from '#protocol/identifiers.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { EventReference, JsonObject } from '#protocol/pdu.ts';
import { type RoomVersionRules, roomVersionRules, SUPPORTED_ROOM_VERSIONS } from '#protocol/room-version.ts';
import { isServerName } from '#protocol/server-name.ts';
import { MatrixError } from '#src/http/errors.ts';
import type { Logger } from '#src/log/logger.ts';
import type { Receiver } from '#src/rooms/receive/receiver.ts';
import type { ToldEvents } from '#src/rooms/receive/told-events.ts';
import type { ReceivingRoom, Verdict } from '#src/rooms/receive/types.ts';
import type { Rooms } from '#src/rooms/rooms.ts';
import { type FederationClient, type FederationRequest, federationPath } from './client.ts';
import { FederationError } from './errors.ts';
import { readEventLists } from './event-lists.ts';
import { refusal } from './inbound/handshakes.ts';
import { objectsIn } from './inbound/peers.ts';
import type { MemberFetching } from './member-fetching.ts';
import { idOfTold } from './pdus.ts';
import { stateBefore } from './state-before.ts';
import { strippedEvents } from './stripped-room-state.ts';

/** Servers that are asked, one after the other, until one lets the user in. */
const MAX_SERVERS_TRIED = 10;
/** The state of the largest rooms. */
const MAX_JOIN_ANSWER_BYTES = 256 * 1024 * 1024;
/** The other server has to put together the state of the room. */
const JOIN_DEADLINE_MS = 180_000;
/** Servers that get what happens in a room while its members are not known; the others hear of it by those. */
const MAX_SERVERS_IN_ROOM = 5_000;
/**
 * How long is waited for the members, in milliseconds, where they are not told with the join. Most rooms are small: they are whole when
 * the user sees them first.
 */
const MEMBERS_AT_ONCE_MS = 1_000;
/** Largest state that this wait is for: some thousand members. A larger one is fetched while the user is in the room already. */
const MAX_STATE_AT_ONCE_BYTES = 1024 * 1024;
const STATE = 'state';
const AUTH_CHAIN = 'auth_chain';
const LISTS: ReadonlySet<string> = new Set([STATE, AUTH_CHAIN]);

export interface EntranceOptions {
  readonly client: FederationClient;
  readonly rooms: Rooms;
  readonly receiver: Receiver;
  readonly reader: Reader;
  readonly serverName: string;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** A fresh event id for the room versions in which servers choose them. */
  readonly newEventId: () => string;
  readonly logger: Logger;
  /** Fetches what was not told on joining. */
  readonly members: MemberFetching;
  /** Whether other servers are asked to leave out the members of rooms at first. */
  readonly isFaster: boolean;
}

/** An event that another server lets one of our users make. */
interface Template {
  readonly rules: RoomVersionRules;
  readonly event: JsonObject;
}

/** What a server tells of a room into which a user was let. */
interface JoinAnswer {
  /** The join, as the other server signed it. */
  readonly event: unknown;
  readonly told: ToldEvents;
  /** Those in the room, where the state is told without its members. */
  readonly servers: readonly string[] | undefined;
  /** The state before the join. */
  readonly stateIds: ReadonlySet<string>;
  /** The create event of the state or, if it has none, of what authorises it. */
  readonly createEvent: JsonObject | undefined;
}

/** Ways into rooms in which this server is not, and out of what leads there. */
export class Entrance {
  readonly #options: EntranceOptions;

  constructor(options: EntranceOptions) {
    this.#options = options;
  }

  /**
   * A user comes into a room: the room is usable when it resolves.
   *
   * @param via servers that may be in the room, in the order in which they are asked; an invite adds its sender's.
   * @throws {MatrixError} what the last server said, M_NOT_FOUND if there is none to ask.
   * @throws {FederationError} if the last one did not answer.
   */
  join(userId: string, roomId: string, via: readonly string[], content: JsonObject): Promise<void> {
    return this.#tryEach(userId, roomId, via, async (server) => {
      const template = await this.#template(server, roomId, userId, 'join');
      const built = this.#build(template, { ...content, membership: 'join' });
      await this.#enter(server, roomId, template.rules, built);
    });
  }

  /** A user asks to be let in. Throws as {@link join}. */
  knock(userId: string, roomId: string, via: readonly string[], content: JsonObject): Promise<void> {
    return this.#tryEach(userId, roomId, via, async (server) => {
      const template = await this.#template(server, roomId, userId, 'knock');
      const built = this.#build(template, { ...content, membership: 'knock' });
      const answer = await this.#options.client.request({
        destination: server,
        method: 'PUT',
        path: federationPath`/_matrix/federation/v1/send_knock/${roomId}/${built.eventId}`,
        content: built.pdu,
        isUrgent: true,
      });
      const told = strippedEvents(objectsIn(answer.knock_room_state));
      await this.#recordOutOfBand(roomId, template.rules, built.pdu, told);
    });
  }

  /**
   * A user turns an invite down, or takes a knock back. If no server of the room can be told, it is so for this user all the
   * same.
   */
  async leave(userId: string, roomId: string, content: JsonObject): Promise<void> {
    const { logger } = this.#options;
    try {
      await this.#tryEach(userId, roomId, [], async (server) => {
        const template = await this.#template(server, roomId, userId, 'leave');
        const built = this.#build(template, { ...content, membership: 'leave' });
        await this.#options.client.request({
          destination: server,
          method: 'PUT',
          path: federationPath`/_matrix/federation/v2/send_leave/${roomId}/${built.eventId}`,
          content: built.pdu,
          isUrgent: true,
        });
        await this.#recordOutOfBand(roomId, template.rules, built.pdu);
      });
    } catch (error) {
      if (!(error instanceof FederationError || error instanceof MatrixError)) throw error;
      logger.info({ roomId, reason: error.message }, 'nobody could be told that an invite was turned down');
      await this.#leaveAlone(userId, roomId, content);
    }
  }

  /** The server of whoever invited somebody, those that are named, and those of whom somebody was told with the invite or the knock. */
  #serversFor(userId: string, roomId: string, via: readonly string[]): string[] {
    const { reader, serverName } = this.#options;
    const room = findRoom(reader, roomId);
    const known = room && userRoomOf(reader, userId, room.id);
    const event = known && eventAt(reader, known.event);
    const inviter = event?.sender === userId ? undefined : serverNameOf(event?.sender ?? '');
    const own = serverNameOf(roomId);
    const told = room && strippedStateOf(reader, room.id, userId);
    const tellers = told === undefined ? [] : sendersIn(told).flatMap((sender) => serverNameOf(sender) ?? []);
    const servers = [
      ...(inviter === undefined ? [] : [inviter]),
      ...via,
      ...(own === undefined ? [] : [own]),
      ...tellers,
    ];
    return [...new Set(servers)].filter((server) => server !== serverName).slice(0, MAX_SERVERS_TRIED);
  }

  async #tryEach(
    userId: string,
    roomId: string,
    via: readonly string[],
    attempt: (server: string) => Promise<void>,
  ): Promise<void> {
    let failure: unknown = new MatrixError('M_NOT_FOUND', 'No server is known that is in the room.');
    for (const server of this.#serversFor(userId, roomId, via)) {
      try {
        return await attempt(server);
      } catch (error) {
        if (!(error instanceof FederationError || error instanceof MatrixError)) throw error;
        this.#options.logger.info({ server, roomId, reason: error.message }, 'a server did not let a user in');
        failure = error;
        if (error instanceof FederationError && error.errcode === 'M_FORBIDDEN') break;
      }
    }
    throw failure;
  }

  async #template(
    server: string,
    roomId: string,
    userId: string,
    membership: 'join' | 'knock' | 'leave',
  ): Promise<Template> {
    const path = federationPath`/_matrix/federation/v1/${`make_${membership}`}/${roomId}/${userId}`;
    const versions = SUPPORTED_ROOM_VERSIONS.map((version) => `ver=${encodeURIComponent(version)}`).join('&');
    const answer = await this.#options.client.request({
      destination: server,
      method: 'GET',
      path: membership === 'leave' ? path : `${path}?${versions}`,
      isUrgent: true,
    });
    const version = answer.room_version ?? '1';
    const rules = typeof version === 'string' ? roomVersionRules(version) : undefined;
    const { event } = answer;
    if (rules === undefined) {
      throw new MatrixError('M_INCOMPATIBLE_ROOM_VERSION', `The room has version ${String(version)}.`);
    }
    const isRight =
      isJsonObject(event) &&
      event.type === 'm.room.member' &&
      event.room_id === roomId &&
      event.sender === userId &&
      event.state_key === userId &&
      isJsonObject(event.content) &&
      event.content.membership === membership;
    if (!isRight) throw new FederationError('bad_answer', server, `its template is not that of a ${membership}`);
    return { rules, event };
  }

  #build({ rules, event }: Template, content: JsonObject): BuiltEvent {
    const { rooms, clock, newEventId } = this.#options;
    const { hashes: _, signatures: __, unsigned: ___, event_id: ____, ...rest } = event;
    const draft = {
      ...rest,
      content: { ...(event.content as JsonObject), ...content },
      origin_server_ts: clock(),
      ...(rules.eventIdFormat === 'opaque_with_domain' && { event_id: newEventId() }),
    };
    return rooms.sign(draft as unknown as EventDraft, rules);
  }

  /** The last half of a join: the event goes out, the room comes in. */
  async #enter(server: string, roomId: string, rules: RoomVersionRules, built: BuiltEvent): Promise<void> {
    const { receiver, rooms, serverName, members, isFaster } = this.#options;
    const room = { roomId, rules };
    const first = await this.#sendJoin(server, room, built, isFaster && !rooms.isResident(roomId));
    checkCreateEvent(first.createEvent, roomId, rules, server);
    await receiver.takeIn(first.told);
    const answer = first.servers === undefined ? first : await this.#withMembers(server, room, built.eventId, first);
    const event = withTheirSignatures(built, answer.event, rules);
    const isOurs = (userId: string): boolean => serverNameOf(userId) === serverName;
    if (rooms.isResident(roomId)) await rooms.whenMembersKnown(roomId);
    const enter = (): Promise<Verdict> =>
      receiver.receiveEntry(room, server, event, answer.stateIds, isOurs, answer.servers);
    // Where only the right to let somebody in was missing here, the room is known better than the other server can tell.
    const isKnown = rooms.isResident(roomId);
    let verdict = await (isKnown ? receiver.receive(room, server, event) : enter());
    // It may follow the join of another of our users, of which the other server has not told yet; but the state before it it told.
    if (isKnown && verdict.kind === 'retry' && answer.servers === undefined) verdict = await enter();
    if (answer.servers !== undefined) members.begin(roomId);
    if (verdict.kind !== 'accept') throw refusal(verdict);
  }

  /** Sends a join, and reads what the other server tells of the room while it comes in. */
  #sendJoin(server: string, room: ReceivingRoom, built: BuiltEvent, omitsMembers: boolean): Promise<JoinAnswer> {
    const path = federationPath`/_matrix/federation/v2/send_join/${room.roomId}/${built.eventId}`;
    const request: FederationRequest = {
      destination: server,
      method: 'PUT',
      path: omitsMembers ? `${path}?omit_members=true` : path,
      content: built.pdu,
      isUrgent: true,
      deadlineMs: JOIN_DEADLINE_MS,
      maxAnswerBytes: MAX_JOIN_ANSWER_BYTES,
    };
    return this.#options.client.read(request, async (body) => {
      const told = this.#options.receiver.toldEvents(room, server);
      const stateIds = new Set<string>();
      const createEvents = new Map<string, JsonObject>();
      const others = await readEventLists(body, LISTS, ({ list, value, text }) => {
        if (!isJsonObject(value)) return;
        if (value.type === 'm.room.create' && value.state_key === '' && !createEvents.has(list)) {
          createEvents.set(list, value);
        }
        const eventId = told.add(value, text);
        if (eventId !== undefined && list === STATE) stateIds.add(eventId);
      });
      const createEvent = createEvents.get(STATE) ?? createEvents.get(AUTH_CHAIN);
      const servers = this.#serversIn(others, server, omitsMembers);
      return { event: others.event, told, stateIds, createEvent, servers };
    });
  }

  /** The answer with the members of the room, if the server tells them within a moment; else the answer as it is. */
  async #withMembers(server: string, room: ReceivingRoom, eventId: string, answer: JoinAnswer): Promise<JoinAnswer> {
    const signal = AbortSignal.timeout(MEMBERS_AT_ONCE_MS);
    try {
      const { told, stateIds } = await stateBefore(this.#options, room, eventId, {
        destination: server,
        maxAnswerBytes: MAX_STATE_AT_ONCE_BYTES,
        signal,
      });
      // What it said of the state at first has to be part of it.
      if (![...answer.stateIds].every((id) => stateIds.has(id))) return answer;
      await this.#options.receiver.takeIn(told);
      return { ...answer, stateIds, servers: undefined };
    } catch (error) {
      if (!(signal.aborted || error instanceof FederationError)) throw error;
      return answer;
    }
  }

  /** Where the members are told later: the servers in the room. */
  #serversIn(answer: JsonObject, server: string, wasAsked: boolean): string[] | undefined {
    const { members_omitted: areOmitted, servers_in_room: servers } = answer;
    if (areOmitted !== true) return undefined;
    if (!wasAsked || !Array.isArray(servers)) {
      throw new FederationError('bad_answer', server, 'it leaves out who is in the room');
    }
    const names = servers.filter((name): name is string => typeof name === 'string' && isServerName(name));
    // The one that lets somebody in is in the room, whatever it says.
    return [...new Set([server, ...names])]
      .filter((name) => name !== this.#options.serverName)
      .slice(0, MAX_SERVERS_IN_ROOM);
  }

  async #recordOutOfBand(
    roomId: string,
    rules: RoomVersionRules,
    event: JsonObject,
    told: readonly JsonObject[] = [],
  ): Promise<void> {
    const { receiver, serverName } = this.#options;
    const verdict = await receiver.receiveOutOfBand({ roomId, rules }, serverName, event, told);
    if (verdict.kind !== 'accept') throw refusal(verdict);
  }

  /** An event that nobody else gets: it follows the invite that it ends. */
  async #leaveAlone(userId: string, roomId: string, content: JsonObject): Promise<void> {
    const { reader, rooms, clock, newEventId } = this.#options;
    const room = findRoom(reader, roomId);
    const rules = room && roomVersionRules(room.version);
    const before = room && userRoomOf(reader, userId, room.id);
    const invite = before && eventAt(reader, before.event);
    if (rules === undefined || invite === undefined) throw new MatrixError('M_FORBIDDEN', 'You are not in this room.');
    const reference: EventReference = eventReference(
      invite.eventId,
      () => referenceHashOf(reader, invite.eventId) ?? '',
      rules,
    );
    const built = rooms.sign(
      {
        type: 'm.room.member',
        room_id: roomId,
        sender: userId,
        state_key: userId,
        content: { ...content, membership: 'leave' },
        origin_server_ts: clock(),
        depth: invite.depth + 1,
        prev_events: [reference],
        auth_events: [reference],
        ...(rules.eventIdFormat === 'opaque_with_domain' && { event_id: newEventId() }),
      },
      rules,
    );
    await this.#recordOutOfBand(roomId, rules, built.pdu);
  }
}

/** The create event proves which room of which version it is. */
function checkCreateEvent(
  create: JsonObject | undefined,
  roomId: string,
  rules: RoomVersionRules,
  server: string,
): void {
  if (create === undefined || !isJsonObject(create.content)) {
    throw new FederationError('bad_answer', server, 'it tells of a room without a create event');
  }
  const { room_version: version = '1' } = create.content;
  if (version !== rules.version) {
    throw new FederationError(
      'bad_answer',
      server,
      `it tells of a room of version ${String(version)}, not ${rules.version}`,
    );
  }
  const isIts =
    rules.roomIdFormat === 'create_event_hash'
      ? idOfTold(create, rules) === `$${roomId.slice(1)}`
      : create.room_id === roomId;
  if (!isIts) throw new FederationError('bad_answer', server, 'it tells of another room');
}

/** Who sent the stripped events in a JSON text. */
function sendersIn(strippedJson: string): string[] {
  const events = parseJson(strippedJson);
  return objectsIn(events).flatMap(({ sender }) => (typeof sender === 'string' ? [sender] : []));
}

/** Our event, with the signature of the other server where that vouches for it. */
function withTheirSignatures({ pdu, eventId }: BuiltEvent, theirs: unknown, rules: RoomVersionRules): JsonObject {
  if (!isJsonObject(theirs) || !isJsonObject(theirs.signatures) || idOfTold(theirs, rules) !== eventId) return pdu;
  return { ...pdu, signatures: { ...theirs.signatures, ...pdu.signatures } };
}
