/**
 * Tokens that let people register.
 * https://spec.matrix.org/v1.19/client-server-api/#token-authenticated-registration
 */
import { accountRecord, REGISTRATION_TOKENS_STREAM } from '#projections/accounts/records.ts';
import { type RegistrationTokenRow, registrationTokens } from '#projections/accounts/tables.ts';
import type { Reader } from '#projections/engine/reader.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import { invalidParam, notFound } from '#src/http/errors.ts';
import { newOpaqueId, type RandomBytes } from './secrets.ts';

/** https://spec.matrix.org/v1.19/appendices/#opaque-identifiers, at most 64 characters. */
const TOKEN = /^[A-Za-z0-9._~-]{1,64}$/;
const RECORD_ID_BYTES = 16;

export interface RegistrationTokenRequest {
  /** The token itself; a random one when undefined. */
  readonly token?: string | undefined;
  /** How many accounts may be made with it; any number when undefined. */
  readonly usesAllowed?: number | undefined;
  /** Milliseconds since the epoch; never when undefined. */
  readonly expiresAtMs?: number | undefined;
}

/** Another number of uses, or another expiry; null for no bound. */
export interface RegistrationTokenChange {
  readonly usesAllowed?: number | null | undefined;
  readonly expiresAtMs?: number | null | undefined;
}

/** A token as administrators see it. */
export interface RegistrationToken extends RegistrationTokenRow {
  readonly token: string;
  /** Registrations under way with it. */
  readonly pending: number;
  readonly isValid: boolean;
}

export interface RegistrationTokensOptions {
  readonly reader: Reader;
  readonly commands: StreamCommands;
  readonly clock: () => number;
  readonly random: RandomBytes;
}

export class RegistrationTokens {
  readonly #reader: Reader;
  readonly #commands: StreamCommands;
  readonly #clock: () => number;
  readonly #random: RandomBytes;
  /** Uses that a registration under way holds. */
  readonly #pending = new Map<string, number>();

  constructor({ reader, commands, clock, random }: RegistrationTokensOptions) {
    this.#reader = reader;
    this.#commands = commands;
    this.#clock = clock;
    this.#random = random;
  }

  /** Makes a token and gives it. Throws `M_INVALID_PARAM` if it is there already, or one of the values makes no sense. */
  async create({ token, usesAllowed, expiresAtMs }: RegistrationTokenRequest): Promise<string> {
    const made = token ?? newOpaqueId(this.#random);
    if (!TOKEN.test(made)) throw invalidParam('A registration token has 1 to 64 characters out of A-Z a-z 0-9 . _ ~ -');
    checkUses(usesAllowed);
    checkExpiry(expiresAtMs, this.#clock());
    const { result } = await this.#commands.run(REGISTRATION_TOKENS_STREAM, () => {
      if (this.#reader.has(registrationTokens, [made]))
        throw invalidParam('There is such a registration token already.');
      const fields = { token: made, usesAllowed: usesAllowed ?? null, expiresAtMs: expiresAtMs ?? null };
      const id = this.#random(RECORD_ID_BYTES);
      return { records: [accountRecord(id, 'registration_token.created', fields)], result: made };
    });
    return result;
  }

  /** All tokens, in order. */
  list(): RegistrationToken[] {
    return Array.from(this.#reader.range(registrationTokens), ({ key: [token], value }) =>
      this.#described(token, value),
    );
  }

  /** Undefined if there is no such token. */
  find(token: string): RegistrationToken | undefined {
    const row = TOKEN.test(token) ? this.#reader.get(registrationTokens, [token]) : undefined;
    return row && this.#described(token, row);
  }

  /**
   * Changes what a token is good for: what is undefined stays, null takes a bound away.
   * Throws `M_NOT_FOUND` if there is no such token, `M_INVALID_PARAM` if one of the values makes no sense.
   */
  async change(token: string, { usesAllowed, expiresAtMs }: RegistrationTokenChange): Promise<void> {
    checkUses(usesAllowed ?? undefined);
    checkExpiry(expiresAtMs ?? undefined, this.#clock());
    await this.#commands.run(REGISTRATION_TOKENS_STREAM, () => {
      const known = this.find(token);
      if (known === undefined) throw notFound('There is no such registration token.');
      const fields = {
        token,
        usesAllowed: usesAllowed === undefined ? known.usesAllowed : usesAllowed,
        expiresAtMs: expiresAtMs === undefined ? known.expiresAtMs : expiresAtMs,
      };
      return {
        records: [accountRecord(this.#random(RECORD_ID_BYTES), 'registration_token.changed', fields)],
        result: undefined,
      };
    });
  }

  /** Takes a token away. Throws `M_NOT_FOUND` if there is none. */
  async remove(token: string): Promise<void> {
    await this.#commands.run(REGISTRATION_TOKENS_STREAM, () => {
      if (this.find(token) === undefined) throw notFound('There is no such registration token.');
      return {
        records: [accountRecord(this.#random(RECORD_ID_BYTES), 'registration_token.removed', { token })],
        result: undefined,
      };
    });
  }

  #described(token: string, { usesAllowed, completed, expiresAtMs }: RegistrationTokenRow): RegistrationToken {
    return {
      token,
      usesAllowed,
      completed,
      expiresAtMs,
      pending: this.#pending.get(token) ?? 0,
      isValid: this.isValid(token),
    };
  }

  /** Whether somebody could register with it now. */
  isValid(token: string): boolean {
    return this.#usesLeft(token) > (this.#pending.get(token) ?? 0);
  }

  /** Whether an account can be made with it now by somebody who holds one of its uses. */
  isUsable(token: string): boolean {
    return this.#usesLeft(token) > 0;
  }

  /** Holds one use until `release`; undefined if there is none left. */
  reserve(token: string): { release(): void } | undefined {
    if (!this.isValid(token)) return undefined;
    this.#pending.set(token, (this.#pending.get(token) ?? 0) + 1);
    return { release: () => this.#release(token) };
  }

  #release(token: string): void {
    const pending = this.#pending.get(token) ?? 0;
    if (pending > 1) this.#pending.set(token, pending - 1);
    else this.#pending.delete(token);
  }

  #usesLeft(token: string): number {
    if (!TOKEN.test(token)) return 0;
    const row = this.#reader.get(registrationTokens, [token]);
    if (row === undefined || (row.expiresAtMs !== null && row.expiresAtMs <= this.#clock())) return 0;
    return row.usesAllowed === null ? Number.POSITIVE_INFINITY : row.usesAllowed - row.completed;
  }
}

function checkUses(usesAllowed: number | undefined): void {
  if (usesAllowed !== undefined && (!Number.isSafeInteger(usesAllowed) || usesAllowed < 0)) {
    throw invalidParam('The number of uses must be a whole number.');
  }
}

function checkExpiry(expiresAtMs: number | undefined, nowMs: number): void {
  if (expiresAtMs !== undefined && (!Number.isSafeInteger(expiresAtMs) || expiresAtMs <= nowMs)) {
    throw invalidParam('The expiry must be a time in the future.');
  }
}
