/** The rules of policy lists: rooms whose state is a list of bans. */
import type { Reader } from '#projections/engine/reader.ts';
import { findRoom, headOf, stateEvent, stateKeysChangedBetween, stateKeysOfType } from '#projections/rooms/queries.ts';
import { parseJson } from '#protocol/json-limits.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { Logger } from '#src/log/logger.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import type { Position } from '#streams/event-log.ts';
import { type PolicyRule, policyRuleOf, RULE_TYPES, RuleSet } from './decision.ts';

export interface PolicyListsOptions {
  readonly reader: Reader;
  /** Ids of the rooms. */
  readonly roomIds: readonly string[];
  readonly logger: Logger;
}

/** A list as it was at a version of the state of its room. */
interface ReadList {
  readonly version: number;
  /** By type and state key. */
  readonly rules: Map<string, PolicyRule>;
}

/** Keeps the rules of all lists ready, and reads what changed of them: all of a list only the first time, in turns. */
export class PolicyLists {
  readonly #options: PolicyListsOptions;
  readonly #lists = new Map<string, ReadList>();
  readonly #missing = new Set<string>();
  #rules = new RuleSet([]);
  #reading: Promise<void> | undefined;

  constructor(options: PolicyListsOptions) {
    this.#options = options;
  }

  /** The rules as they are when this resolves. A list that is not here has none, and the log says so, once. */
  async rules(): Promise<RuleSet> {
    while (this.#outdated().length > 0) {
      this.#reading ??= this.#readAll().finally(() => {
        this.#reading = undefined;
      });
      await this.#reading;
    }
    return this.#rules;
  }

  /** The lists that are here in another version than was read. */
  #outdated(): { readonly roomId: string; readonly room: Position; readonly version: number }[] {
    return this.#options.roomIds.flatMap((roomId) => {
      const { reader, logger } = this.#options;
      const room = findRoom(reader, roomId);
      const version = room && headOf(reader, room.id)?.stateVersion;
      if (room === undefined || version === undefined) {
        if (!this.#missing.has(roomId)) {
          logger.warn({ roomId }, 'a policy list is not followed: nobody of this server has joined its room');
        }
        this.#missing.add(roomId);
        return [];
      }
      this.#missing.delete(roomId);
      return this.#lists.get(roomId)?.version === version ? [] : [{ roomId, room: room.id, version }];
    });
  }

  async #readAll(): Promise<void> {
    const { reader, logger } = this.#options;
    for (const { roomId, room, version } of this.#outdated()) {
      const before = this.#lists.get(roomId);
      const known = before !== undefined && before.version < version ? before : undefined;
      const keys = known === undefined ? allKeys(reader, room) : changedKeys(reader, room, known.version, version);
      const rules = known?.rules ?? new Map<string, PolicyRule>();
      for (const { type, stateKey } of keys) {
        const event = stateEvent(reader, room, type, stateKey);
        const rule = event && policyRuleOf(type, parseJson(event.contentJson) as JsonObject);
        const name = `${type} ${stateKey}`;
        if (rule === undefined) rules.delete(name);
        else rules.set(name, rule);
        if (sharedPacer.isDue) await sharedPacer.pause();
      }
      // What changed meanwhile is looked at again.
      this.#lists.set(roomId, { version, rules });
    }
    this.#rules = new RuleSet([...this.#lists.values()].flatMap(({ rules }) => [...rules.values()]));
    if (this.#rules.leftOut > 0) logger.warn({ count: this.#rules.leftOut }, 'policy lists have too many rules');
  }
}

type RuleKey = { readonly type: string; readonly stateKey: string };

function allKeys(reader: Reader, room: Position): RuleKey[] {
  return Object.keys(RULE_TYPES).flatMap((type) =>
    stateKeysOfType(reader, room, type).map((stateKey) => ({ type, stateKey })),
  );
}

function changedKeys(reader: Reader, room: Position, after: number, upTo: number): RuleKey[] {
  return stateKeysChangedBetween(reader, room, after, upTo).filter(({ type }) => Object.hasOwn(RULE_TYPES, type));
}
