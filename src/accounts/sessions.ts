/**
 * Access and refresh tokens of devices.
 * https://spec.matrix.org/v1.19/client-server-api/#using-access-tokens and the sections after it.
 */

import { accountTopic, isSame } from '#projections/accounts/projection.ts';
import type { Lender } from '#projections/accounts/records.ts';
import {
  accessTokens,
  type DeviceRow,
  devices,
  refreshTokens,
  type TokenPair,
  type UserRow,
  users,
} from '#projections/accounts/tables.ts';
import { lastRestore } from '#projections/backups/projection.ts';
import type { Reader } from '#projections/engine/reader.ts';
import type { AuthenticationRequest, Requester } from '#src/http/endpoint.ts';
import { MatrixError, unknownToken } from '#src/http/errors.ts';
import type { Logger } from '#src/log/logger.ts';
import type { RecordDraft } from '#streams/event-log.ts';
import type { ActivityLog } from './activity.ts';
import { mayWhileSuspended, userLocked, userSuspended } from './restrictions.ts';
import {
  MAX_TOKEN_LENGTH,
  newAccessToken,
  newDeviceId,
  newRefreshToken,
  type RandomBytes,
  tokenHash,
} from './secrets.ts';
import { type KnownToken, TokenCache } from './token-cache.ts';
import type { UserCommands } from './user-commands.ts';

/**
 * Lifetime of access tokens of clients that refresh. Every refresh is kept for ever, so it is not shorter: an hour costs a
 * device in constant use some 20 KB a day.
 */
export const ACCESS_TOKEN_LIFETIME_MS = 60 * 60 * 1000;
/** Devices of one account. At the bound the one that got its tokens longest ago makes room. */
export const MAX_DEVICES_PER_USER = 1_000;
/** After the use of a new token could not be recorded, how long until it is tried again. */
const CONFIRM_RETRY_MS = 5_000;
/** Bytes of the token's hash that make its name: enough to tell tokens apart, and no help to guess one. */
const TOKEN_ID_BYTES = 9;

/** What a client asks for when it logs in. */
export interface DeviceRequest {
  /** A new one is made when undefined. */
  readonly deviceId: string | undefined;
  /** For a new device only. */
  readonly displayName: string | undefined;
  /** Whether the client can refresh: its access token then expires. */
  readonly refreshes: boolean;
  /** When the access token of one that cannot expires all the same: milliseconds since the epoch; default never. */
  readonly validUntilMs?: number | undefined;
  /** The server administrator who acts as the user, where one does. */
  readonly lentTo?: Lender;
}

/** Tokens as they are handed out, the only time they are seen whole. */
export interface IssuedTokens {
  readonly accessToken: string;
  readonly refreshToken: string | undefined;
  /** Milliseconds; undefined when the access token does not expire. */
  readonly expiresInMs: number | undefined;
}

/** Tokens for a device. */
export interface IssuedSession extends IssuedTokens {
  readonly deviceId: string;
}

/** What is asked of a request that comes with a token. */
export type TokenUse = Pick<AuthenticationRequest, 'ip' | 'userAgent' | 'endpoint'>;

export interface SessionsOptions {
  readonly reader: Reader;
  readonly commands: UserCommands;
  readonly clock: () => number;
  readonly random: RandomBytes;
  readonly logger: Logger;
  readonly activity: ActivityLog;
  /** Default {@link ACCESS_TOKEN_LIFETIME_MS}. */
  readonly accessTokenLifetimeMs?: number | undefined;
}

export class Sessions {
  readonly #reader: Reader;
  readonly #commands: UserCommands;
  readonly #clock: () => number;
  readonly #random: RandomBytes;
  readonly #logger: Logger;
  readonly #activity: ActivityLog;
  readonly #accessTokenLifetimeMs: number;
  readonly #cache = new TokenCache();
  /** Milliseconds since the epoch; see {@link CONFIRM_RETRY_MS}. */
  #confirmAgainAtMs = 0;

  constructor(options: SessionsOptions) {
    this.#reader = options.reader;
    this.#commands = options.commands;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#logger = options.logger;
    this.#activity = options.activity;
    this.#accessTokenLifetimeMs = options.accessTokenLifetimeMs ?? ACCESS_TOKEN_LIFETIME_MS;
  }

  /** To be told of every topic that a commit touched, before its appends are acknowledged. */
  onTouched(topic: string): void {
    if (topic.startsWith(TOPIC_START)) this.#cache.invalidate(topic.slice(TOPIC_START.length));
  }

  /**
   * Who an access token belongs to. Usually one look into a map.
   * Throws `M_UNKNOWN_TOKEN`, with `soft_logout` when the device is still there and may get another token; `M_USER_LOCKED`
   * and `M_USER_SUSPENDED` for what such an account may not do.
   */
  authenticate(token: string, { ip, userAgent, endpoint }: TokenUse): Requester {
    const nowMs = this.#clock();
    const known = this.#cache.get(token) ?? this.#lookUp(token);
    if (known.expiresAtMs !== null && known.expiresAtMs <= nowMs) {
      throw unknownToken(true, 'The access token has expired. Please refresh it, or log in again.');
    }
    const { activity, requester } = known;
    activity.seenAtMs = nowMs;
    activity.ip = ip;
    activity.userAgent = userAgent;
    if (known.isLocked && endpoint.allowLocked !== true) throw userLocked();
    if (requester.isSuspended === true && !mayWhileSuspended(endpoint)) throw userSuspended();
    return requester;
  }

  /** Whose access token this is; undefined if it is nobody's, or not good any more. */
  ownerOf(token: string): string | undefined {
    try {
      const { requester, expiresAtMs } = this.#lookUp(token);
      return expiresAtMs !== null && expiresAtMs <= this.#clock() ? undefined : requester.userId;
    } catch (error) {
      if (error instanceof MatrixError) return undefined;
      throw error;
    }
  }

  #lookUp(token: string): KnownToken {
    if (token.length > MAX_TOKEN_LENGTH) throw unknownToken();
    const hash = tokenHash(token);
    const owner = this.#reader.get(accessTokens, [hash]);
    const device = owner && this.#reader.get(devices, [owner.userId, owner.deviceId]);
    const user = owner && this.#reader.get(users, [owner.userId]);
    if (owner === undefined) throw this.#neverSeen();
    if (device === undefined || user === undefined || user.isDeactivated) throw unknownToken();
    const { userId, deviceId } = owner;
    const pair = [device.current, device.previous].find((one) => isSame(one?.access, hash));
    if (pair === undefined || pair === null) {
      throw unknownToken(true, 'The access token was replaced by a newer one.');
    }
    const entry = {
      requester: Object.freeze({
        userId,
        deviceId,
        tokenId: hash.toString('base64url', 0, TOKEN_ID_BYTES),
        isGuest: user.isGuest,
        isAdmin: user.isAdmin && pair.isLent !== true,
        ...(pair.isLent && { isLent: true, lentTo: pair.lentTo }),
        ...(user.isSuspended && { isSuspended: true }),
        ...(user.isShadowBanned && { isShadowBanned: true }),
        ...(user.allowance !== null && ownAllowance(user.allowance)),
      }),
      isLocked: user.isLocked,
      expiresAtMs: pair.accessExpiresAtMs,
      activity: this.#activity.of(userId, deviceId),
    };
    if (pair === device.current && device.previous !== null) {
      // Not remembered, so that one of the next requests tries again.
      if (this.#clock() < this.#confirmAgainAtMs) return entry;
      this.#confirm(userId, deviceId, hash);
    }
    return this.#cache.add(token, entry);
  }

  /**
   * The client has its new tokens: what came before is void from now on. The request that shows it does not wait; whatever
   * concerns the device next is decided after this.
   */
  #confirm(userId: string, deviceId: string, accessHash: Uint8Array): void {
    const confirmed = this.#commands.run(userId, () => {
      const device = this.#reader.get(devices, [userId, deviceId]);
      const isOpen = device !== undefined && device.previous !== null && isSame(device.current?.access, accessHash);
      const records = isOpen ? [this.#commands.record('session.confirmed', { deviceId, accessHash })] : [];
      return { records, result: undefined };
    });
    confirmed.catch((error: unknown) => {
      // A later use of the token tries again; until then the older pair stays good.
      this.#confirmAgainAtMs = this.#clock() + CONFIRM_RETRY_MS;
      this.#cache.invalidate(userId);
      this.#logger.warn({ err: error }, 'The use of a refreshed access token could not be recorded.');
    });
  }

  /**
   * The records of a login, and what the client gets. A known device keeps its name and loses its former tokens.
   * To be called from within a command of the user, or for one who is being registered.
   */
  issue(userId: string, request: DeviceRequest): { readonly records: RecordDraft[]; readonly session: IssuedSession } {
    const deviceId = request.deviceId ?? newDeviceId(this.#random);
    const records: RecordDraft[] = [];
    if (!this.#reader.has(devices, [userId, deviceId])) {
      const surplus = this.#devicesToMakeRoom(userId);
      if (surplus.length > 0) records.push(this.#commands.record('device.removed', { deviceIds: surplus }));
      records.push(this.#commands.record('device.added', { deviceId, displayName: request.displayName ?? null }));
    }
    const { tokens, pair } = this.#newTokens(request.refreshes, request.validUntilMs);
    records.push(
      this.#commands.record('session.started', {
        deviceId,
        accessHash: pair.access,
        accessExpiresAtMs: pair.accessExpiresAtMs,
        refreshHash: pair.refresh,
        ...(request.lentTo && { isLent: true, lentTo: request.lentTo }),
      }),
    );
    return { records, session: { deviceId, ...tokens } };
  }

  /**
   * The answer to a token that the log knows nothing of. Where the log was restored from a backup it may be one that was given out in
   * the part that is gone: then the client is to keep its keys, and log in again as the same device.
   */
  #neverSeen(message?: string): MatrixError {
    return unknownToken(lastRestore(this.#reader) !== undefined, message);
  }

  /**
   * New tokens for a refresh token. The old one stays good until one of the new ones is used.
   * Throws `M_UNKNOWN_TOKEN`, with `soft_logout` when the token was good once and its device is still there.
   */
  async refresh(refreshToken: string): Promise<IssuedTokens> {
    if (refreshToken.length > MAX_TOKEN_LENGTH) throw unknownToken();
    const presentedHash = tokenHash(refreshToken);
    const owner = this.#reader.get(refreshTokens, [presentedHash]);
    if (owner === undefined) throw this.#neverSeen('The refresh token is not known, or not valid any more.');
    const { userId, deviceId } = owner;
    const { result } = await this.#commands.run(userId, (user) => {
      if (user.isLocked) throw userLocked();
      checkRefreshable(this.#reader.get(devices, [userId, deviceId]), presentedHash);
      const { tokens, pair } = this.#newTokens(true);
      const { access: accessHash, accessExpiresAtMs, refresh: refreshHash } = pair;
      if (refreshHash === null) throw new Error('a session that refreshes has a refresh token');
      const fields = { deviceId, presentedHash, accessHash, accessExpiresAtMs, refreshHash };
      return { records: [this.#commands.record('session.refreshed', fields)], result: tokens };
    });
    return result;
  }

  #newTokens(refreshes: boolean, validUntilMs?: number): { readonly tokens: IssuedTokens; readonly pair: TokenPair } {
    const accessToken = newAccessToken(this.#random);
    const access = tokenHash(accessToken);
    if (!refreshes) {
      return {
        tokens: { accessToken, refreshToken: undefined, expiresInMs: undefined },
        pair: { access, accessExpiresAtMs: validUntilMs ?? null, refresh: null },
      };
    }
    const refreshToken = newRefreshToken(this.#random);
    const expiresInMs = this.#accessTokenLifetimeMs;
    return {
      tokens: { accessToken, refreshToken, expiresInMs },
      pair: { access, accessExpiresAtMs: this.#clock() + expiresInMs, refresh: tokenHash(refreshToken) },
    };
  }

  #devicesToMakeRoom(userId: string): string[] {
    const known = [...this.#reader.range(devices, { prefix: [userId] })];
    if (known.length < MAX_DEVICES_PER_USER) return [];
    return known
      .toSorted((a, b) => a.value.tokensAtMs - b.value.tokensAtMs)
      .slice(0, known.length - MAX_DEVICES_PER_USER + 1)
      .map(({ key: [, deviceId] }) => deviceId);
  }
}

const TOPIC_START = accountTopic('');

/** A rate of 0 stands for no limit. */
function ownAllowance(allowance: NonNullable<UserRow['allowance']>): Pick<Requester, 'allowance' | 'isUnlimited'> {
  return allowance.perSecond === 0 ? { isUnlimited: true } : { allowance };
}

function checkRefreshable(device: DeviceRow | undefined, presented: Uint8Array): void {
  if (device === undefined) throw unknownToken(false, 'The device of this refresh token is gone.');
  if (isSame(device.current?.refresh, presented) || isSame(device.previous?.refresh, presented)) return;
  throw unknownToken(true, 'The refresh token was used already.');
}
