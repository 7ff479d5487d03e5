import { expect } from 'vitest';
import type { JsonObject } from '../pdu.ts';
import { type RoomVersionRules, roomVersionRules } from '../room-version.ts';
import { checkAuth } from './check-auth.ts';
import type { AuthEvent, AuthInput, AuthVerdict } from './types.ts';

export const V11 = roomVersionRules('11') as RoomVersionRules;
export const V12 = roomVersionRules('12') as RoomVersionRules;
export const BOTH = [V11, V12];

export const CREATOR = '@creator:a.org';
export const ADMIN = '@admin:a.org';
export const MOD = '@mod:a.org';
export const ALICE = '@alice:a.org';
export const BOB = '@bob:b.org';
export const BANNED = '@banned:b.org';

const CREATE_ID = `$${'C'.repeat(43)}`;
const ROOM_ID: Record<string, string> = { '11': '!room:a.org', '12': `!${'C'.repeat(43)}` };

/** A room as far as a test cares; the rest is as in a room with some history. */
export interface RoomSpec {
  /** Content of the create event. */
  readonly create?: JsonObject;
  /** Memberships that differ from the usual: all but Bob joined, the banned one banned. */
  readonly members?: Readonly<Record<string, string>>;
  readonly joinRule?: string;
  /** Content of the power levels event; `null` for none. */
  readonly levels?: JsonObject | null;
  /** Other state events, by type and state key. */
  readonly state?: readonly AuthEvent[];
}

export const USUAL_LEVELS: JsonObject = { users: { [ADMIN]: 100, [MOD]: 50 }, invite: 25 };

const USUAL_MEMBERS: Readonly<Record<string, string>> = {
  [CREATOR]: 'join',
  [ADMIN]: 'join',
  [MOD]: 'join',
  [ALICE]: 'join',
  [BANNED]: 'ban',
};

export function stateEvent(type: string, stateKey: string, content: JsonObject, sender = ADMIN): AuthEvent {
  return { eventId: `$${type}|${stateKey}`, type, stateKey, sender, content };
}

function stateOf(spec: RoomSpec): AuthEvent[] {
  const { levels = USUAL_LEVELS } = spec;
  const members = Object.entries({ ...USUAL_MEMBERS, ...spec.members });
  return [
    { ...stateEvent('m.room.create', '', spec.create ?? {}, CREATOR), eventId: CREATE_ID },
    ...members.map(([user, membership]) => stateEvent('m.room.member', user, { membership }, user)),
    ...(spec.joinRule === undefined ? [] : [stateEvent('m.room.join_rules', '', { join_rule: spec.joinRule })]),
    ...(levels === null ? [] : [stateEvent('m.room.power_levels', '', levels)]),
    ...(spec.state ?? []),
  ];
}

/** An event of the room, filled up with what a test does not care for. */
export type EventSpec = Partial<AuthInput> & Pick<AuthInput, 'type' | 'sender'>;

/** What the rules make of an event in a room. */
export function judge(rules: RoomVersionRules, spec: RoomSpec, event: EventSpec): AuthVerdict {
  const state = stateOf(spec);
  const lookup = (type: string, stateKey: string) =>
    state.find((candidate) => candidate.type === type && candidate.stateKey === stateKey);
  const full = { content: {}, prev_events: ['$prev'], room_id: ROOM_ID[rules.version], ...event } as AuthInput;
  return checkAuth(full, lookup, rules);
}

/** The id that the usual create event has. */
export const CREATE_EVENT_ID = CREATE_ID;

/**
 * Expects what both room versions say. `rule` is the number in version 11; in version 12 rule 2 is new, and so is 10.4.
 */
export function expectVerdict(rules: RoomVersionRules, verdict: AuthVerdict, rule: string): void {
  if (rule === 'allow') {
    expect(verdict).toEqual({ allowed: true });
    return;
  }
  expect(verdict).toMatchObject({ allowed: false, rule: rules === V11 ? rule : inVersion12(rule) });
  if (!verdict.allowed) expect(verdict.reason).toMatch(/^.{10,}[^.]\.$/);
}

function inVersion12(rule: string): string {
  const [section, item, ...rest] = rule.split('.');
  if (section === '1') return rule;
  const moved = section === '9' && Number(item) >= 4 ? `${Number(item) + 1}` : item;
  return [`${Number(section) + 1}`, ...(moved === undefined ? [] : [moved]), ...rest].join('.');
}
