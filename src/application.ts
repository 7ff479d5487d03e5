/** The composition root of what answers requests: makes the parts of the server and hands each what it needs. */
import { randomBytes } from 'node:crypto';
import { isActiveUser } from '#projections/accounts/queries.ts';
import type { ProjectionEngine } from '#projections/engine/engine.ts';
import type { BuildAhead } from '#projections/engine/renewal.ts';
import { joinedRoomIds } from '#projections/rooms/queries.ts';
import type { SigningKey } from '#protocol/signing.ts';
import type { EventLog } from '#streams/event-log.ts';
import { Accounts } from './accounts/accounts.ts';
import { Departures } from './accounts/departures.ts';
import { OpenIdTokens } from './accounts/openid-tokens.ts';
import type { PasswordHasher } from './accounts/password-hasher.ts';
import { userSuspended } from './accounts/restrictions.ts';
import { BackgroundTasks } from './admin/background-tasks.ts';
import { Audit } from './audit/audit.ts';
import { LentUses } from './audit/lent-uses.ts';
import { Repeats } from './audit/repeats.ts';
import { startAuditStreams } from './audit/streams/start-streams.ts';
import { LocalBus } from './bus/local-bus.ts';
import { Profiles } from './client-api/profile/profiles.ts';
import { StreamCommands } from './commands/stream-command.ts';
import type { LogProof } from './compliance/certificate.ts';
import { Compliance } from './compliance/compliance.ts';
import { heldCache } from './compliance/held-cache.ts';
import { policyOf } from './compliance/retention-policy.ts';
import { returning } from './compliance/returning.ts';
import type { Config } from './config/schema.ts';
import type { Context } from './context.ts';
import { dataPaths } from './data-paths.ts';
import { DelayedEvents } from './delayed-events/delayed-events.ts';
import { Acknowledgements } from './encryption/acknowledgements.ts';
import { RemoteDeviceLists } from './encryption/remote-device-lists.ts';
import { RemoteKeys } from './encryption/remote-keys.ts';
import { isPersonal } from './ephemeral/activity.ts';
import { Presence } from './ephemeral/presence.ts';
import { Serials } from './ephemeral/serials.ts';
import { Typing } from './ephemeral/typing.ts';
import { EvidenceLocker } from './evidence/evidence.ts';
import { CaseExports } from './exports/case-exports.ts';
import type { Exporter } from './exports/exporter.ts';
import { Backfilling } from './federation/backfilling.ts';
import { eduHandlers } from './federation/edus/index.ts';
import { LastingEduLog } from './federation/edus/lasting.ts';
import { PassingEdus } from './federation/edus/passing.ts';
import { RemotePresences } from './federation/edus/presence.ts';
import { Entrance } from './federation/entrance.ts';
import { createFederation, type FederationNetwork } from './federation/federation.ts';
import { IdentityServers } from './federation/identity-servers.ts';
import { Peers } from './federation/inbound/peers.ts';
import { Transactions } from './federation/inbound/transactions.ts';
import { Inviting } from './federation/inviting.ts';
import { FederatedMedia } from './federation/media/remote-source.ts';
import { MemberFetching } from './federation/member-fetching.ts';
import { Sender } from './federation/outbound/sender.ts';
import { PolicyServers } from './federation/policy-servers.ts';
import { PolicyService } from './federation/policy-service/policy-service.ts';
import { ThirdPartyInvites } from './federation/third-party-invites.ts';
import type { Guard } from './http/guard.ts';
import type { Logger } from './log/logger.ts';
import { createMedia } from './media/create-media.ts';
import { createPush } from './push/push.ts';
import type { Gateway } from './push/sender/gateway.ts';
import { newRecordId } from './record-ids.ts';
import { RoleGuard } from './roles/guard.ts';
import { Roles } from './roles/roles.ts';
import { ScopedTokens } from './roles/scoped-tokens.ts';
import { Directory } from './rooms/directory.ts';
import { GuestAccess } from './rooms/guest-access.ts';
import { MembersKnown } from './rooms/members-known.ts';
import { forgetPublicRooms } from './rooms/public-rooms.ts';
import { Receiver } from './rooms/receive/receiver.ts';
import { RemoteSpaces } from './rooms/remote-spaces.ts';
import { newRoomId } from './rooms/room-ids.ts';
import { Rooms } from './rooms/rooms.ts';
import { sendState } from './rooms/send-state.ts';
import { SearchIndex } from './search/search-index.ts';
import { ServerNotices } from './server-notices/server-notices.ts';
import { ShownLog } from './shown-log.ts';
import { SlidingSync } from './sliding-sync/sliding-sync.ts';
import { epochOf } from './sync/log-lives.ts';
import { Sync } from './sync/sync.ts';

export interface ApplicationParts {
  readonly config: Config;
  readonly log: EventLog;
  readonly engine: ProjectionEngine;
  readonly signingKey: SigningKey;
  /** Set where this server is a policy server. */
  readonly policyKey?: SigningKey | undefined;
  /** Makes a new signing key and puts it where the next start finds it; undefined where there is no such place. */
  readonly replaceKey?: () => Promise<SigningKey>;
  /** What of the network is another in a test. */
  readonly network?: FederationNetwork;
  readonly logger: Logger;
  /** Milliseconds since the epoch; default `Date.now`. */
  readonly clock?: () => number;
  /** Default: one of the usual cost. */
  readonly passwordHasher?: PasswordHasher;
  /** Whether the search index works in a thread of its own; default true. */
  readonly isSearchThreaded?: boolean;
  /** Builds tables in another thread, from the log; without it they are built in this one. */
  readonly buildAhead?: BuildAhead | undefined;
  /** Signs certificates of erasure; without it they are not signed. */
  readonly proof?: LogProof | undefined;
  /** Makes exports that are asked for over HTTP; without it none are made. */
  readonly exporter?: Exporter | undefined;
  /** Default: the push gateways that users name. */
  readonly pushGateway?: Gateway;
}

/** What runs between the log and the network. */
export interface Application {
  readonly context: Context;
  /** Stands before the endpoints of those who have a role. */
  readonly guard: Guard;
  close(): Promise<void>;
}

/** Random parts of stream names: opaque, since a stream's name is public for ever. */
const STREAM_ID_BYTES = 15;
/** Random parts of event ids where servers choose them. */
const EVENT_LOCALPART_BYTES = 18;
/** Names one run of the server: in sync tokens, so that a restart is noticed, and in the ids of transactions. */
const EPOCH_BYTES = 4;
const EXPORT_ID_BYTES = 12;

/** Puts an application together on an open log and its projections. */
export function createApplication(parts: ApplicationParts): Application {
  const { config, engine, logger, clock = Date.now, proof } = parts;
  const { reader } = engine;
  const log = new ShownLog(parts.log, engine, (state) => {
    if (state.writable) logger.warn('writing goes on');
    else logger.error({ reason: state.reason }, 'nothing can be written; reading goes on');
  });
  const serverName = config.server_name;
  const caughtUp = (): Promise<void> => engine.waitFor(log.head());
  const bus = new LocalBus({ onListenerError: (error) => logger.error({ err: error }, 'a waiting reader failed') });
  const stopWaking = engine.onAdvance((frontier, touched) => bus.publish(touched, frontier));
  const commands = new StreamCommands({ log, caughtUp });
  const audit = new Audit({ commands, newRecordId });
  const repeats = new Repeats({ audit, clock, logger });
  const rolesOptions = { commands, reader, clock, newRecordId, random: randomBytes };
  const roles = new Roles(rolesOptions);
  const scopedTokens = new ScopedTokens({ ...rolesOptions, roles });
  const federation = createFederation({
    config,
    engine,
    bus,
    commands,
    signingKey: parts.signingKey,
    replaceKey: parts.replaceKey,
    newRecordId,
    clock,
    logger,
    network: parts.network,
  });
  const { signingKey } = federation.ownKeys;
  const accounts = new Accounts({
    config,
    engine,
    reader,
    commands,
    clock,
    random: randomBytes,
    logger,
    onDeactivated: () => departures.wake(),
    otherTokens: (token, use) => scopedTokens.authenticate(token, use),
    onRequest: ({ userId, deviceId }, endpoint) => {
      if (deviceId !== undefined && isPersonal(endpoint)) presence.act(userId, deviceId);
    },
    ...(parts.passwordHasher && { passwordHasher: parts.passwordHasher }),
  });
  const openIdTokens = new OpenIdTokens({
    signingKey,
    clock,
    random: randomBytes,
    isActive: (userId) => isActiveUser(reader, userId),
  });
  const policyService =
    parts.policyKey &&
    new PolicyService({ serverName, key: parts.policyKey, settings: config.policy_server, reader, logger });
  const policy = new PolicyServers({ client: federation.client, serverName, own: policyService });
  const rooms = new Rooms({
    policy,
    members: new MembersKnown(reader, bus, serverName),
    log,
    reader,
    serverName,
    signingKey,
    clock,
    newRecordId,
    newStreamId: () => randomBytes(STREAM_ID_BYTES).toString('base64url'),
    newEventLocalpart: () => randomBytes(EVENT_LOCALPART_BYTES).toString('base64url'),
  });
  const missing = new Peers({ client: federation.client, logger });
  const mayReturn = returning({ reader, policy: policyOf(config) });
  const receiver = new Receiver({
    reader,
    rooms,
    clock,
    keys: federation.keys,
    policy,
    missing,
    mayReturn,
  });
  const remote = { client: federation.client, rooms, receiver, reader, log, serverName };
  const inviting = new Inviting(remote);
  const identity = new IdentityServers(federation.web, { serverName, signingKey });
  const thirdPartyInvites = new ThirdPartyInvites({ ...remote, identity, inviting });
  const backfilling = new Backfilling({ ...remote, destinations: federation.destinations, missing, mayReturn, logger });
  const members = new MemberFetching({ ...remote, bus, logger });
  const entrance = new Entrance({
    ...remote,
    clock,
    newEventId: () => rooms.newEventId(),
    logger,
    members,
    isFaster: config.federation.faster_joins,
  });
  const epoch = epochOf(reader, randomBytes(EPOCH_BYTES).toString('hex'));
  const lasting = new LastingEduLog(reader, serverName);
  const sender = new Sender({
    isBusy: () => rooms.isWriting,
    serverName,
    reader,
    bus,
    log,
    client: federation.client,
    destinations: federation.destinations,
    commands,
    lasting,
    newRecordId,
    clock,
    epoch,
    counts: federation.counts,
    logger,
  });
  const directory = new Directory({ commands, reader, serverName, newRecordId });
  const remoteSpaces = new RemoteSpaces({ client: federation.client, clock, serverName });
  const departures = new Departures({
    reader,
    commands,
    rooms,
    entrance,
    inviting,
    serverName,
    newRecordId,
    logger,
  });
  departures.wake();
  const guestAccess = new GuestAccess({ engine, reader, rooms, logger });
  guestAccess.start();
  void accounts.warmUp();
  const serials = new Serials();
  const typing = new Typing({ bus, serials });
  const presence = new Presence({
    bus,
    serials,
    clock,
    isEnabled: config.presence.enabled,
    roomsOf: (userId) => joinedRoomIds(reader, userId),
  });
  const profiles = new Profiles({ reader, commands, rooms, presence, newRecordId, logger });
  const deviceLists = new RemoteDeviceLists({
    reader,
    commands,
    client: federation.client,
    destinations: federation.destinations,
    serverName,
    newRecordId,
    clock,
    logger,
  });
  const remoteKeys = new RemoteKeys({ client: federation.client, lists: deviceLists, serverName });
  const presences = new RemotePresences({ reader, serverName, presence });
  const edus = eduHandlers({ reader, serverName, typing, presences, commands, newRecordId, clock, deviceLists });
  const transactions = new Transactions({ reader, bus, serverName, receiver, edus, counts: federation.counts, logger });
  const passing = new PassingEdus({
    reader,
    bus,
    logger,
    serverName,
    typing,
    presence,
    presences,
    sendEdu: (destinations, edu, key) => sender.sendEdu(destinations, edu, key),
    clock,
  });
  if (config.federation.enabled) {
    sender.start();
    members.start();
    deviceLists.start();
    passing.start();
  }
  const acknowledgements = new Acknowledgements({ reader, commands, newRecordId, logger });
  const push = createPush({ config, engine, commands, newRecordId, clock, logger, gateway: parts.pushGateway });
  const sync = new Sync({
    reader,
    log,
    bus,
    typing,
    presence,
    serials,
    acknowledgements,
    unread: push.unread,
    clock,
    epoch,
  });
  const slidingSync = new SlidingSync({
    reader,
    log,
    bus,
    typing,
    serials,
    acknowledgements,
    unread: push.unread,
    memory: sync.memory,
    clock,
    epoch,
    dir: dataPaths(config.data_dir).slidingSync,
    logger,
  });
  const search = new SearchIndex({
    dir: dataPaths(config.data_dir).search,
    log,
    logger,
    isThreaded: parts.isSearchThreaded ?? true,
  });
  const delayedEvents = new DelayedEvents({
    reader,
    commands,
    engine,
    send: async ({ roomId, userId: sender, type, stateKey, delayId, deviceKey, txnId }, content) => {
      // What was to be sent later goes nowhere, like all that the user sends.
      const account = accounts.find(sender);
      if (account?.isShadowBanned === true) return;
      // What was scheduled before is sent as little as what would be sent now.
      if (account?.isSuspended === true || account?.isLocked === true) throw userSuspended();
      await (stateKey === undefined
        ? rooms.send(roomId, { sender, type, content }, { deviceId: deviceKey, txnId: txnId ?? delayId })
        : sendState(context, roomId, { sender, type, stateKey, content }));
    },
    clock,
    newRecordId,
    logger,
  });
  const paths = dataPaths(config.data_dir);
  const { max_upload: maxFileBytes } = config.media;
  const mediaParts = createMedia({
    config,
    log,
    reader,
    serverName,
    source: config.federation.enabled
      ? new FederatedMedia({ client: federation.client, web: federation.web, maxFileBytes })
      : undefined,
    clock,
    newRecordId,
    logger,
  });
  const { media, remoteMedia, thumbnails, urlPreviews } = mediaParts;
  const tasks = new BackgroundTasks({ logger, clock });
  const exports = new CaseExports({
    folder: paths.exports,
    exporter: parts.exporter,
    checkpoint: proof && (() => proof.checkpoint()),
    onRemoved: async ({ id, caseId }, why) => {
      const target = { kind: 'export', id } as const;
      await audit.record({ actor: { kind: 'server', task: 'exports' }, action: 'export.remove', target, caseId, why });
    },
    newId: () => randomBytes(EXPORT_ID_BYTES).toString('base64url'),
    clock,
    logger,
  });
  void exports.start();
  const compliance = new Compliance({
    config,
    serverName,
    log,
    reader,
    engine,
    commands,
    newRecordId,
    rooms,
    audit,
    search,
    removeFile: mediaParts.removeFile,
    cachedFiles: remoteMedia,
    dropCaches: () => {
      rooms.forgetIdle();
      push.unread.clear();
    },
    dropTexts: () => {
      forgetPublicRooms(reader);
      sender.forgetTexts();
      urlPreviews?.clear();
    },
    removeCopies: (userId) => exports.forgetUser(userId),
    deactivate: (userId) => accounts.deactivate(userId, { isErased: true }),
    buildAhead: parts.buildAhead,
    proof,
    clock,
    logger,
  });
  media.askBeforeRemoval(compliance.purges);
  remoteMedia.askBeforeDropping(heldCache({ log, holds: compliance.holds }));
  accounts.onFormerPassword((userId, position) => compliance.purges.formerPassword(userId, position));
  accounts.onErasureWished((userId) => void wishErasure(compliance, userId, logger));
  const context: Context = {
    config,
    serverName,
    log,
    reader,
    bus,
    accounts,
    openIdTokens,
    commands,
    audit,
    repeats,
    evidence: new EvidenceLocker({ commands, reader, log, serverName, newRecordId }),
    roles,
    scopedTokens,
    rooms,
    sync,
    slidingSync,
    search,
    directory,
    remoteSpaces,
    profiles,
    delayedEvents,
    serverNotices: new ServerNotices(config),
    typing,
    presence,
    acknowledgements,
    media,
    push,
    remoteMedia,
    thumbnails,
    urlPreviews,
    federation,
    policyService,
    receiver,
    transactions,
    entrance,
    inviting,
    thirdPartyInvites,
    identity,
    sender,
    remoteKeys,
    backfilling,
    compliance,
    exports,
    tasks,
    clock,
    newRecordId,
    newRoomId: () => newRoomId(serverName),
  };
  delayedEvents.start();
  profiles.resume(log, (userId) => accounts.find(userId)?.isShadowBanned !== true);
  compliance.start();
  const auditStreams = startAuditStreams({ config, engine, logger }, paths.auditStreams);
  return {
    context,
    guard: new RoleGuard({
      roles,
      audit,
      repeats,
      reader,
      lent: new LentUses({ audit, clock }),
      asksForReasons: config.audit.content_reads === 'reason_required',
      logger,
    }),
    close: async () => {
      await exports.close();
      // It goes through the whole log, and nobody waits for what it finds any more.
      await compliance.retention.close();
      await tasks.settled();
      await compliance.close();
      await repeats.close();
      await audit.settled();
      for (const stream of auditStreams) await stream.close();
      await departures.stop();
      await guestAccess.stop();
      await search.close();
      await slidingSync.close();
      await push.close();
      await acknowledgements.flush();
      await profiles.settled();
      passing.close();
      await deviceLists.close();
      await members.close();
      await sender.close();
      await federation.close();
      stopWaking();
      delayedEvents[Symbol.dispose]();
      typing[Symbol.dispose]();
      presence[Symbol.dispose]();
      await mediaParts.close();
    },
  };
}

/** The request is open until it is carried out: if it cannot be recorded now, the account says that it was wished. */
async function wishErasure(compliance: Compliance, userId: string, logger: Logger): Promise<void> {
  try {
    await compliance.erasures.requestBySubject(userId);
  } catch (error) {
    logger.error({ err: error }, 'a wish for erasure could not be recorded; use `stele erase`');
  }
}
