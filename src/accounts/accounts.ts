/**
 * Accounts of this server: making them, logging in, changing and closing them. What requests need of an account, its
 * devices and its tokens begins here.
 */

import type { Lender } from '#projections/accounts/records.ts';
import { devices, type UserRow, users } from '#projections/accounts/tables.ts';
import type { ProjectionEngine } from '#projections/engine/engine.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { KeyedLock } from '#src/commands/keyed-lock.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import type { Config } from '#src/config/schema.ts';
import type { Requester } from '#src/http/endpoint.ts';
import { forbidden, limitExceeded, MatrixError, unknownToken } from '#src/http/errors.ts';
import { RateLimiter } from '#src/http/rate-limit.ts';
import type { Logger } from '#src/log/logger.ts';
import type { Position } from '#streams/event-log.ts';
import { ActivityLog } from './activity.ts';
import {
  checkDeviceId,
  checkDeviceName,
  checkPassword,
  isPasswordTooLong,
  userIdForLogin,
  userIdForUsername,
} from './credentials.ts';
import { Devices } from './devices.ts';
import { InteractiveAuth } from './interactive-auth.ts';
import { Moderation } from './moderation.ts';
import { PasswordHasher } from './password-hasher.ts';
import { RegistrationTokens } from './registration-tokens.ts';
import { userLocked } from './restrictions.ts';
import { newLocalpart, newUserStream, type RandomBytes } from './secrets.ts';
import { type DeviceRequest, type IssuedSession, Sessions, type TokenUse } from './sessions.ts';
import { SharedSecretNonces } from './shared-secret.ts';
import { UserCommands } from './user-commands.ts';

/** The parts of the configuration that accounts depend on. */
export type AccountsConfig = Pick<Config, 'server_name' | 'registration' | 'rate_limits'>;

export interface AccountsOptions {
  readonly config: AccountsConfig;
  readonly reader: Reader;
  /** Tells which accounts a commit changed. */
  readonly engine: Pick<ProjectionEngine, 'onAdvance'>;
  /** The one that all changes of streams go through. */
  readonly commands: StreamCommands;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly random: RandomBytes;
  readonly logger: Logger;
  /** Default: one of the usual cost. */
  readonly passwordHasher?: PasswordHasher;
  readonly accessTokenLifetimeMs?: number;
  /** Asked first about each token: who calls with it, or undefined for a token of a device. It has to be quick. */
  readonly otherTokens?: (token: string, request: TokenUse) => Requester | undefined;
  /** Called when a token was accepted, with the endpoint that was asked. It has to be quick: every request comes by. */
  readonly onRequest?: (requester: Requester, endpoint: TokenUse['endpoint']) => void;
  /** Called when an account has been closed. */
  readonly onDeactivated?: () => void;
}

/** What an account is to be made with; see {@link Accounts.register}. */
export interface NewAccount {
  /** As wished for; one is made up when undefined. */
  readonly username: string | undefined;
  readonly password: string;
  readonly isAdmin: boolean;
  /** The registration token that pays for it; undefined where none is asked for. */
  readonly registrationToken?: string | undefined;
  /** Undefined to make the account without logging in. */
  readonly device: DeviceRequest | undefined;
}

export interface RegisteredAccount {
  readonly userId: string;
  /** Where a device was asked for. */
  readonly session: IssuedSession | undefined;
}

export interface LoggedIn {
  readonly userId: string;
  readonly session: IssuedSession;
}

/** The lock under which registration tokens are spent. */
const TOKENS_LOCK = 'registration tokens';
/** How often a made-up user name may be taken before we give up. */
const MAX_NAME_ATTEMPTS = 10;

export class Accounts {
  readonly devices: Devices;
  readonly sessions: Sessions;
  readonly registrationTokens: RegistrationTokens;
  readonly interactive: InteractiveAuth;
  readonly moderation: Moderation;
  readonly nonces: SharedSecretNonces;
  readonly #config: AccountsConfig;
  readonly #reader: Reader;
  readonly #random: RandomBytes;
  readonly #logger: Logger;
  readonly #hasher: PasswordHasher;
  readonly #streams: StreamCommands;
  readonly #users: UserCommands;
  /** One registration at a time for each name, and for spending registration tokens. */
  readonly #names = new KeyedLock();
  /** Counts password attempts per account, wherever they come from. */
  readonly #attempts: RateLimiter | undefined;
  readonly #onDeactivated: (() => void) | undefined;
  #letGoPassword: ((userId: string, position: Position) => Promise<void>) | undefined;
  #onErasureWished: ((userId: string) => void) | undefined;
  readonly #onRequest: AccountsOptions['onRequest'];
  readonly #otherTokens: AccountsOptions['otherTokens'];

  constructor(options: AccountsOptions) {
    const { config, reader, clock, random, logger } = options;
    this.#config = config;
    this.#reader = reader;
    this.#random = random;
    this.#logger = logger;
    this.#hasher = options.passwordHasher ?? new PasswordHasher();
    this.#streams = options.commands;
    this.#users = new UserCommands({ commands: this.#streams, reader, random });
    this.#attempts = config.rate_limits.enabled ? new RateLimiter({ now: clock }) : undefined;
    this.#onDeactivated = options.onDeactivated;
    this.#onRequest = options.onRequest;
    this.#otherTokens = options.otherTokens;
    const activity = new ActivityLog();
    const commands = this.#users;
    const { accessTokenLifetimeMs } = options;
    this.devices = new Devices({ reader, commands, activity });
    this.sessions = new Sessions({ reader, commands, clock, random, logger, activity, accessTokenLifetimeMs });
    this.registrationTokens = new RegistrationTokens({ reader, commands: this.#streams, clock, random });
    this.interactive = new InteractiveAuth({ clock, random });
    options.engine.onAdvance((_frontier, touched) => {
      for (const topic of touched) this.sessions.onTouched(topic);
    });
    this.moderation = new Moderation(this.#users);
    this.nonces = new SharedSecretNonces({ clock, random });
  }

  /** Makes ready what the first failing login would else have to wait for. Never rejects. */
  async warmUp(): Promise<void> {
    try {
      await this.#hasher.warmUp();
    } catch (error) {
      this.#logger.warn({ err: error }, 'Passwords cannot be verified at the moment.');
    }
  }

  /** Who an access token belongs to; see {@link Sessions.authenticate}. Bound, to be handed to the HTTP framework. */
  readonly authenticate = (token: string, request: TokenUse): Requester => {
    const other = this.#otherTokens?.(token, request);
    if (other !== undefined) return other;
    const requester = this.sessions.authenticate(token, request);
    this.#onRequest?.(requester, request.endpoint);
    return requester;
  };

  /** Whether a requester whose token was good still is: for those who waited meanwhile. */
  isLoggedIn({ userId, deviceId }: Requester): boolean {
    if (this.find(userId)?.isDeactivated !== false) return false;
    return deviceId === undefined || this.#reader.has(devices, [userId, deviceId]);
  }

  /**
   * For those who waited: throws what their next request would be told, if they are logged out by now (`M_UNKNOWN_TOKEN`) or
   * their account is locked (`M_USER_LOCKED`).
   */
  requireAccess(requester: Requester): void {
    if (!this.isLoggedIn(requester)) throw unknownToken();
    if (this.find(requester.userId)?.isLocked === true) throw userLocked();
  }

  /** The account's row; undefined if this server has no such user. Deactivated ones are there too. */
  find(userId: string): UserRow | undefined {
    return this.#reader.get(users, [userId]);
  }

  /**
   * The user id that a wished-for name gives.
   * Throws `M_INVALID_USERNAME` for one that cannot be, `M_USER_IN_USE` for one that is or was somebody's.
   */
  checkUsername(username: string): string {
    const userId = userIdForUsername(username, this.#config.server_name);
    if (this.find(userId) !== undefined) throw new MatrixError('M_USER_IN_USE');
    return userId;
  }

  /**
   * Makes an account, and logs a device in where one is asked for: one append, all or nothing.
   * Throws as {@link checkUsername} and the checks of credentials.ts do; `M_FORBIDDEN` when the registration token is spent.
   */
  async register(account: NewAccount): Promise<RegisteredAccount> {
    const { username, password, device, registrationToken } = account;
    if (username !== undefined) this.checkUsername(username);
    checkPassword(password);
    if (device !== undefined) checkDeviceRequest(device);
    const passwordHash = await this.#hasher.hash(password);
    const append = () => this.#appendAccount(account, passwordHash);
    if (registrationToken === undefined) return append();
    return this.#names.run(TOKENS_LOCK, () => {
      if (!this.registrationTokens.isUsable(registrationToken)) throw forbidden('The registration token is used up.');
      return append();
    });
  }

  /** Makes an account for a guest, under a made-up name and without a password, and logs a device in. */
  registerGuest(device: DeviceRequest): Promise<RegisteredAccount> {
    checkDeviceRequest(device);
    return this.#appendAccount({ username: undefined, isAdmin: false, isGuest: true, device }, null);
  }

  /**
   * The user id of the guest whose access token somebody shows who wants to register under the guest's name.
   * Throws `M_FORBIDDEN` if it is not that of a guest of this name.
   */
  checkGuest(guestToken: string, username: string | undefined): string {
    const userId = this.sessions.ownerOf(guestToken);
    const isTheirs = userId !== undefined && this.find(userId)?.isGuest === true;
    if (!isTheirs || username === undefined || userIdForUsername(username, this.#config.server_name) !== userId) {
      throw forbidden('This is not the access token of a guest of that name.');
    }
    return userId;
  }

  /**
   * Makes the account of a guest one like any other. Throws as {@link checkGuest} and {@link register} do.
   * @param account its name is the guest's.
   */
  async upgradeGuest(guestToken: string, account: NewAccount): Promise<RegisteredAccount> {
    const { username, password, device, registrationToken = null } = account;
    const userId = this.checkGuest(guestToken, username);
    checkPassword(password);
    if (device !== undefined) checkDeviceRequest(device);
    const passwordHash = await this.#hasher.hash(password);
    return this.#names.run(TOKENS_LOCK, async () => {
      if (registrationToken !== null && !this.registrationTokens.isUsable(registrationToken)) {
        throw forbidden('The registration token is used up.');
      }
      const { result: session } = await this.#users.run(userId, (user) => {
        if (!user.isGuest) throw new MatrixError('M_USER_IN_USE');
        if (user.isLocked) throw userLocked();
        const issued = device && this.sessions.issue(userId, device);
        const registered = this.#users.record('user.guest_registered', { registrationToken, passwordHash });
        return { records: [registered, ...(issued?.records ?? [])], result: issued?.session };
      });
      return { userId, session };
    });
  }

  #appendAccount(
    account: Omit<NewAccount, 'password'> & { readonly isGuest?: boolean },
    passwordHash: string | null,
  ): Promise<RegisteredAccount> {
    const { isAdmin, isGuest = false, device, registrationToken = null } = account;
    const wished = account.username ?? this.#freeLocalpart();
    return this.#names.run(`name ${wished.toLowerCase()}`, async () => {
      const userId = this.checkUsername(wished);
      const registered = this.#users.record('user.registered', {
        userId,
        isAdmin,
        ...(isGuest && { isGuest }),
        registrationToken,
        passwordHash,
      });
      const issued = device && this.sessions.issue(userId, device);
      await this.#streams.run(newUserStream(this.#random), () => ({
        records: [registered, ...(issued?.records ?? [])],
        result: undefined,
      }));
      return { userId, session: issued?.session };
    });
  }

  #freeLocalpart(): string {
    for (let attempt = 0; attempt < MAX_NAME_ATTEMPTS; attempt += 1) {
      const localpart = newLocalpart(this.#random);
      if (this.find(`@${localpart}:${this.#config.server_name}`) === undefined) return localpart;
    }
    throw new MatrixError('M_UNKNOWN', 'No free user name was found. Please choose one.', { status: 503 });
  }

  /**
   * Logs a device in with a password. `user` is a user id or a localpart.
   * Throws `M_FORBIDDEN` for a wrong user or password, without telling which; `M_USER_DEACTIVATED` for a closed account;
   * `M_LIMIT_EXCEEDED` after too many attempts on one account.
   */
  async login(user: string, password: string, device: DeviceRequest): Promise<LoggedIn> {
    checkDeviceRequest(device);
    const userId = this.userIdOf(user);
    this.countAttempt(userId);
    const verified = await this.verifyPassword(userId, password);
    if (userId === undefined || verified === undefined) {
      if (userId !== undefined && this.find(userId)?.isDeactivated === true)
        throw new MatrixError('M_USER_DEACTIVATED');
      throw forbidden('The user name or the password is wrong.');
    }
    const { result: session } = await this.#users.run(userId, (now) => {
      // The password may have been changed while it was being verified.
      if (now.passwordHash !== verified.passwordHash) throw forbidden('The user name or the password is wrong.');
      if (now.isLocked) throw userLocked();
      const { records, session: issued } = this.sessions.issue(userId, device);
      return { records, result: issued };
    });
    return { userId, session };
  }

  /** Logs a device in for an administrator who acts as a user: the user sees it among their devices. @param validUntilMs default for ever */
  async logInAs(userId: string, lentTo: Lender, validUntilMs: number | undefined): Promise<IssuedSession> {
    const { result } = await this.#users.run(userId, (user) => {
      if (user.isLocked) throw userLocked();
      const lent = { displayName: 'Server administrator', validUntilMs, lentTo } as const;
      const device = { deviceId: undefined, refreshes: false, ...lent };
      const { records, session } = this.sessions.issue(userId, device);
      return { records, result: session };
    });
    return result;
  }

  /**
   * Counts an attempt of somebody who is not logged in on an account, wherever it comes from. Whoever is logged in does not
   * get here, so that strangers cannot keep them from changing their password.
   * Throws `M_LIMIT_EXCEEDED` after too many.
   */
  countAttempt(userId: string | undefined): void {
    const waitMs = this.#attempts?.take('login', userId ?? '', '') ?? 0;
    if (waitMs > 0) throw limitExceeded(waitMs);
  }

  /** The account if the password is its own, after a time that does not depend on whether there is such an account. */
  async verifyPassword(userId: string | undefined, password: string): Promise<UserRow | undefined> {
    const user = userId === undefined ? undefined : this.find(userId);
    const isTooLong = isPasswordTooLong(password);
    const isRight = await this.#hasher.verify(user?.passwordHash, isTooLong ? '' : password);
    return isRight && !isTooLong ? user : undefined;
  }

  /** The user id that somebody means who gives it whole, or only its localpart; undefined if it cannot be one of ours. */
  userIdOf(user: string): string | undefined {
    return userIdForLogin(user, this.#config.server_name);
  }

  /**
   * Sets another password. With `removeOtherDevices` all devices go but `keptDevice`.
   * Throws `M_WEAK_PASSWORD` or `M_INVALID_PARAM` for one that cannot be.
   */
  async changePassword(
    userId: string,
    newPassword: string,
    {
      removeOtherDevices,
      keptDevice,
    }: { readonly removeOtherDevices: boolean; readonly keptDevice?: string | undefined },
  ): Promise<void> {
    checkPassword(newPassword);
    const passwordHash = await this.#hasher.hash(newPassword);
    const { result: former } = await this.#users.run(userId, (user) => {
      const surplus = removeOtherDevices ? this.devices.idsExcept(userId, keptDevice) : [];
      const changed = this.#users.record('user.password_changed', { passwordHash });
      return { records: [changed, ...this.devices.removal(surplus)], result: user };
    });
    await this.#erasePasswordHash(userId, former);
  }

  /** Says who is told of users who closed their account and wish all of theirs to be erased. */
  onErasureWished(listener: (userId: string) => void): void {
    this.#onErasureWished = listener;
  }

  /** Makes a user a server administrator, or no longer one. */
  async setAdmin(userId: string, isAdmin: boolean): Promise<void> {
    await this.#users.run(userId, (user) => ({
      records: user.isAdmin === isAdmin ? [] : [this.#users.record('user.admin_changed', { isAdmin })],
      result: undefined,
    }));
  }

  /** Closes an account for ever: devices, tokens and password are gone, the name stays taken. See departures.ts for its rooms. */
  async deactivate(userId: string, { isErased }: { readonly isErased: boolean }): Promise<void> {
    const { result: former } = await this.#users.run(userId, (user) => ({
      records: [
        ...this.devices.removal(this.devices.idsExcept(userId)),
        this.#users.record('user.deactivated', { isErased }),
      ],
      result: user,
    }));
    await this.#erasePasswordHash(userId, former);
    this.#onDeactivated?.();
    if (isErased) this.#onErasureWished?.(userId);
  }

  /** Says who lets go the hash of a password that is in force no more, in the record at a position. */
  onFormerPassword(letGo: (userId: string, position: Position) => Promise<void>): void {
    this.#letGoPassword = letGo;
  }

  /**
   * A hash that is in force no more is of use to thieves only: its key goes. If that cannot be now, the change itself stands all the
   * same, and the hash stays sealed like everything else.
   */
  async #erasePasswordHash(
    userId: string,
    { passwordHash, passwordAt }: { readonly passwordHash: string | null; readonly passwordAt: Position },
  ): Promise<void> {
    if (passwordHash === null) return;
    try {
      await this.#letGoPassword?.(userId, passwordAt);
    } catch (error) {
      this.#logger.warn({ err: error }, 'The key of a former password hash could not be destroyed.');
    }
  }
}

function checkDeviceRequest({ deviceId, displayName }: DeviceRequest): void {
  if (deviceId !== undefined) checkDeviceId(deviceId);
  if (displayName !== undefined) checkDeviceName(displayName);
}
