import type { JsonObject, JsonValue } from '../pdu.ts';
import { type PowerLevels, powerLevelsOf } from '../power-levels.ts';
import type { RoomVersionRules } from '../room-version.ts';
import type { AuthEvent, StateLookup } from './types.ts';

/** The state that an event is checked against, asked in the words of the rules. Reads only what a rule asks for. */
export class RoomState {
  readonly create: AuthEvent;
  readonly rules: RoomVersionRules;
  readonly #lookup: StateLookup;
  #powerLevels: PowerLevels | undefined;

  constructor(create: AuthEvent, lookup: StateLookup, rules: RoomVersionRules) {
    this.create = create;
    this.rules = rules;
    this.#lookup = lookup;
  }

  /** A user's `membership`; `leave` for somebody who never was in the room. */
  membershipOf(userId: string): string {
    return stringIn(this.#lookup('m.room.member', userId)?.content, 'membership') ?? 'leave';
  }

  /** The room's `join_rule`, which need not be a text; `invite` if nothing is said. */
  joinRule(): JsonValue {
    const joinRule = this.#lookup('m.room.join_rules', '')?.content.join_rule;
    return joinRule === undefined ? 'invite' : joinRule;
  }

  /** Who may do what. */
  powerLevels(): PowerLevels {
    this.#powerLevels ??= powerLevelsOf(this.powerLevelsContent(), this.create, this.rules);
    return this.#powerLevels;
  }

  /** Content of the room's power levels event, if it has one. */
  powerLevelsContent(): JsonObject | undefined {
    return this.#lookup('m.room.power_levels', '')?.content;
  }

  /** The pending invite by third-party identifier that a token names. */
  thirdPartyInvite(token: string): AuthEvent | undefined {
    return this.#lookup('m.room.third_party_invite', token);
  }
}

function stringIn(content: JsonObject | undefined, key: string): string | undefined {
  const value: JsonValue | undefined = content?.[key];
  return typeof value === 'string' ? value : undefined;
}
