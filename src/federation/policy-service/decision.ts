/**
 * What a policy server has against an event. Pure: rules and bounds are passed in, and nothing else is looked at.
 * https://spec.matrix.org/v1.19/client-server-api/#moderation-policy-lists
 */
import { parseUserId } from '#protocol/identifiers.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import { parseServerName } from '#protocol/server-name.ts';
import { matchesGlob } from '../server-acl.ts';

/** What a rule is about. */
export type RuleKind = 'user' | 'server' | 'room';

/** The types of the state events that policy lists are made of, each with what it is about. */
export const RULE_TYPES: Readonly<Record<string, RuleKind>> = {
  'm.policy.rule.user': 'user',
  'm.policy.rule.server': 'server',
  'm.policy.rule.room': 'room',
};

/** The only recommendation that the specification has. */
const BAN = 'm.ban';
/** Longest pattern, in characters: an identifier of 255, with as many stars. A longer one describes nothing that there is. */
const MAX_ENTITY_LENGTH = 512;
/** Most rules with `*` or `?` that are kept: each is held against each event. */
export const MAX_GLOBS = 5000;
/** Most rules without. */
export const MAX_EXACT = 200_000;

/** A rule that bans somebody, or something. */
export interface PolicyRule {
  readonly kind: RuleKind;
  /** An id or a server name, or a pattern of `*` and `?`. */
  readonly entity: string;
  /** As whoever made the rule gives it. */
  readonly reason: string | undefined;
}

/** The rule that an event of a policy list is; undefined for one that recommends nothing, or nothing that is known. */
export function policyRuleOf(type: string, content: JsonObject): PolicyRule | undefined {
  const kind = Object.hasOwn(RULE_TYPES, type) ? RULE_TYPES[type] : undefined;
  const { entity, recommendation, reason } = content;
  if (kind === undefined || recommendation !== BAN || typeof entity !== 'string') return undefined;
  if (entity === '' || entity.length > MAX_ENTITY_LENGTH) return undefined;
  return { kind, entity, reason: typeof reason === 'string' && reason !== '' ? reason : undefined };
}

/** Rules, ready to be asked. Those beyond {@link MAX_GLOBS} and {@link MAX_EXACT} are left out, see {@link RuleSet.leftOut}. */
export class RuleSet {
  readonly #exact = new Map<string, PolicyRule>();
  readonly #globs: PolicyRule[] = [];
  #leftOut = 0;

  constructor(rules: Iterable<PolicyRule>) {
    for (const given of rules) {
      // Names of servers are the same in any case.
      const rule = given.kind === 'server' ? { ...given, entity: given.entity.toLowerCase() } : given;
      const isGlob = /[*?]/.test(rule.entity);
      if (isGlob ? this.#globs.length >= MAX_GLOBS : this.#exact.size >= MAX_EXACT) this.#leftOut += 1;
      else if (isGlob) this.#globs.push(rule);
      else this.#exact.set(`${rule.kind} ${rule.entity}`, rule);
    }
  }

  /** How many rules there were too many. */
  get leftOut(): number {
    return this.#leftOut;
  }

  /** The rule that bans a user id, a room id, or a server name in lower case; undefined if none does. */
  find(kind: RuleKind, name: string): PolicyRule | undefined {
    const exact = this.#exact.get(`${kind} ${name}`);
    return exact ?? this.#globs.find((rule) => rule.kind === kind && matchesGlob(name, rule.entity));
  }
}

/** What is too much, whoever sends it. */
export interface PolicyBounds {
  /** Most users that a message mentions; undefined for any number. */
  readonly maxMentions: number | undefined;
  /** Most bytes of an event in canonical JSON; undefined for as many as the room version lets it have. */
  readonly maxEventBytes: number | undefined;
}

/** An event that a policy server is asked about. */
export interface JudgedEvent {
  readonly pdu: Pdu;
  readonly roomId: string;
  /** In canonical JSON. */
  readonly sizeBytes: number;
}

/**
 * Why an event is not recommended, as a sentence for its sender; undefined if nothing is against it.
 *
 * Whoever is banned may still leave, and be made to leave. Invites are held against those who are invited too.
 */
export function refusalOf(event: JudgedEvent, rules: RuleSet, bounds: PolicyBounds): string | undefined {
  const { pdu, roomId, sizeBytes } = event;
  if (isDeparture(pdu)) return undefined;
  const rule = rules.find('room', roomId) ?? banOf(rules, pdu.sender) ?? banOf(rules, whoComesIn(pdu));
  if (rule !== undefined)
    return `A moderation policy is against this ${rule.kind}: ${rule.reason ?? 'no reason given'}`;
  const { maxMentions = Number.POSITIVE_INFINITY, maxEventBytes = Number.POSITIVE_INFINITY } = bounds;
  if (mentionsIn(pdu.content) > maxMentions) return `A message may mention at most ${maxMentions} users in this room.`;
  if (sizeBytes > maxEventBytes) return `An event may have at most ${maxEventBytes} bytes in this room.`;
  return undefined;
}

/** The rule that bans a user, or their server. */
function banOf(rules: RuleSet, userId: string | undefined): PolicyRule | undefined {
  if (userId === undefined) return undefined;
  const ofUser = rules.find('user', userId);
  if (ofUser !== undefined) return ofUser;
  const serverName = parseUserId(userId)?.serverName.toLowerCase();
  if (serverName === undefined) return undefined;
  const host = parseServerName(serverName);
  // A rule says which server, not on which port it happens to be.
  const withoutPort = host?.kind === 'ipv6' ? `[${host.host}]` : host?.host;
  return (
    rules.find('server', serverName) ??
    (withoutPort === undefined || withoutPort === serverName ? undefined : rules.find('server', withoutPort))
  );
}

function isDeparture({ type, state_key: stateKey, sender, content }: Pdu): boolean {
  return type === 'm.room.member' && stateKey === sender && content.membership === 'leave';
}

/** Whom a member event brings into the room, if somebody else than its sender. */
function whoComesIn({ type, state_key: stateKey, sender, content }: Pdu): string | undefined {
  return type === 'm.room.member' && stateKey !== sender && content.membership === 'invite' ? stateKey : undefined;
}

/** How many users a message mentions. https://spec.matrix.org/v1.19/client-server-api/#user-and-room-mentions */
function mentionsIn(content: JsonObject): number {
  const mentions = content['m.mentions'];
  const users = isJsonObject(mentions) ? mentions.user_ids : undefined;
  return Array.isArray(users) ? new Set(users).size : 0;
}
