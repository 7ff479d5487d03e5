/** The rules of policy lists: rooms whose state is a list of bans. */
import type { Reader } from '#projections/engine/reader.ts';
import { findRoom, headOf, stateEventsOfType } from '#projections/rooms/queries.ts';
import { parseJson } from '#protocol/json-limits.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { Logger } from '#src/log/logger.ts';
import { type PolicyRule, policyRuleOf, RULE_TYPES, RuleSet } from './decision.ts';

export interface PolicyListsOptions {
  readonly reader: Reader;
  /** Ids of the rooms. */
  readonly roomIds: readonly string[];
  readonly logger: Logger;
}

/** Keeps the rules of all lists ready, and reads them again where the state of a list has changed. */
export class PolicyLists {
  readonly #options: PolicyListsOptions;
  readonly #missing = new Set<string>();
  #known: { readonly versions: string; readonly rules: RuleSet } | undefined;

  constructor(options: PolicyListsOptions) {
    this.#options = options;
  }

  /** The rules as they are now. A list that is not here yet has none, and the log says so, once. */
  rules(): RuleSet {
    const versions = this.#options.roomIds.map((roomId) => this.#versionOf(roomId)).join(' ');
    if (this.#known?.versions === versions) return this.#known.rules;
    const rules = new RuleSet(this.#read());
    this.#known = { versions, rules };
    if (rules.leftOut > 0) this.#options.logger.warn({ count: rules.leftOut }, 'policy lists have too many rules');
    return rules;
  }

  #versionOf(roomId: string): number {
    const { reader, logger } = this.#options;
    const room = findRoom(reader, roomId);
    const version = room && headOf(reader, room.id)?.stateVersion;
    if (version === undefined && !this.#missing.has(roomId)) {
      this.#missing.add(roomId);
      logger.warn({ roomId }, 'a policy list is not followed: nobody of this server has joined its room');
    } else if (version !== undefined) {
      this.#missing.delete(roomId);
    }
    return version ?? -1;
  }

  *#read(): Generator<PolicyRule> {
    const { reader, roomIds } = this.#options;
    for (const roomId of roomIds) {
      const room = findRoom(reader, roomId);
      if (room === undefined) continue;
      for (const type of Object.keys(RULE_TYPES)) {
        for (const { contentJson } of stateEventsOfType(reader, room.id, type)) {
          const rule = policyRuleOf(type, parseJson(contentJson) as JsonObject);
          if (rule !== undefined) yield rule;
        }
      }
    }
  }
}
