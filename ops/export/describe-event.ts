/** What an event says, in words for people. Pure. */
import type { EventLine } from './layout.ts';

type EventPdu = EventLine['pdu'];

/** What a message or other event says, on as many lines as it has. */
export function textOf({ pdu, is_destroyed }: EventLine): string {
  if (pdu.type === 'm.room.message' || pdu.type === 'm.sticker') {
    return text(pdu.content['body']) ?? (is_destroyed ? '(content destroyed)' : '(no text)');
  }
  if (pdu.type === 'm.room.encrypted') return '(end-to-end encrypted: nobody but the members’ devices can read it)';
  if (pdu.type === 'm.reaction') return `reacted with ${text(relation(pdu)?.['key']) ?? '(nothing)'}`;
  if (pdu.type === 'm.room.redaction') return withReason('took away an event', pdu);
  if (pdu.state_key !== undefined) return stateText(pdu);
  return `${pdu.type}: ${text(pdu.content['body']) ?? JSON.stringify(pdu.content)}`;
}

/** What an edit puts in the place of an event's text. Spec: client-server API, "Event replacements". */
export function newTextOf(edit: EventLine): string {
  const content = edit.pdu.content['m.new_content'];
  const body =
    typeof content === 'object' && content !== null ? (content as Record<string, unknown>)['body'] : undefined;
  return text(body) ?? textOf(edit);
}

/** Whether an event only changes or answers another, which shows it. */
export function isShownElsewhere({ pdu }: EventLine): boolean {
  return pdu.type === 'm.reaction' || pdu.type === 'm.room.redaction' || relation(pdu)?.['rel_type'] === 'm.replace';
}

function relation({ content }: EventPdu): Readonly<Record<string, unknown>> | undefined {
  const value = content['m.relates_to'];
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
}

const STATE_TEXTS: Readonly<Record<string, (pdu: EventPdu) => string>> = {
  'm.room.create': () => 'made the room',
  'm.room.name': ({ content }) => `named the room “${text(content['name']) ?? ''}”`,
  'm.room.topic': ({ content }) => `set the topic “${text(content['topic']) ?? ''}”`,
  'm.room.avatar': () => 'changed the picture of the room',
  'm.room.encryption': () => 'turned on end-to-end encryption',
  'm.room.join_rules': ({ content }) => `set who may join: ${text(content['join_rule']) ?? '?'}`,
  'm.room.history_visibility': ({ content }) =>
    `set who sees the history: ${text(content['history_visibility']) ?? '?'}`,
  'm.room.guest_access': ({ content }) => `set guest access: ${text(content['guest_access']) ?? '?'}`,
  'm.room.power_levels': () => 'changed who may do what',
  'm.room.tombstone': ({ content }) => `closed the room; it goes on in ${text(content['replacement_room']) ?? '?'}`,
  'm.room.member': memberText,
};

function stateText(pdu: EventPdu): string {
  const say = STATE_TEXTS[pdu.type];
  return say === undefined ? `set ${pdu.type} “${pdu.state_key ?? ''}”: ${JSON.stringify(pdu.content)}` : say(pdu);
}

function memberText(pdu: EventPdu): string {
  const who = pdu.state_key ?? '?';
  const isOwn = who === pdu.sender;
  switch (pdu.content['membership']) {
    case 'join':
      return isOwn ? `is in the room, as “${text(pdu.content['displayname']) ?? who}”` : `is said to bring in ${who}`;
    case 'leave':
      return withReason(isOwn ? 'left' : `removed ${who}, or took back an invitation or a ban`, pdu);
    case 'invite':
      return withReason(`invited ${who}`, pdu);
    case 'ban':
      return withReason(`banned ${who}`, pdu);
    case 'knock':
      return withReason('asked to be let in', pdu);
    default:
      return `set the membership of ${who} to something unknown`;
  }
}

function withReason(what: string, { content }: EventPdu): string {
  const reason = text(content['reason']);
  return reason === undefined ? what : `${what}: ${reason}`;
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
