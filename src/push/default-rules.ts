/** The rules that every user has from the start. https://spec.matrix.org/v1.19/client-server-api/#predefined-rules */
import { localpartOf } from '#protocol/identifiers.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { PushAction, PushRule, Ruleset } from './rules.ts';

/** The rule that silences everything; unlike the other rules of the server it comes before those of the user. */
export const MASTER_RULE_ID = '.m.rule.master';

/**
 * Rules that look for mentions in the body. The specification gave them up for `m.mentions`; they stay for messages of clients
 * that do not write it, and never match where it is there.
 */
export const LEGACY_MENTION_RULES: ReadonlySet<string> = new Set([
  '.m.rule.contains_display_name',
  '.m.rule.roomnotif',
  '.m.rule.contains_user_name',
]);

/** Rules whose conditions ask for something of the user's own: all others of the server say the same for everybody. */
export const PERSONAL_RULES: ReadonlySet<string> = new Set([
  '.m.rule.invite_for_me',
  '.m.rule.is_user_mention',
  '.m.rule.contains_display_name',
  '.m.rule.contains_user_name',
  '.io.element.msc4306.rule.unsubscribed_thread',
  '.io.element.msc4306.rule.subscribed_thread',
]);

const DEFAULT_SOUND: PushAction = { set_tweak: 'sound', value: 'default' };
const RING: PushAction = { set_tweak: 'sound', value: 'ring' };
const HIGHLIGHT: PushAction = { set_tweak: 'highlight' };

/** The server's rules for a user, each kind in order of importance, as they are before the user changes anything. */
export function defaultRules(userId: string): Required<Ruleset> {
  return {
    override: [
      { ...rule(MASTER_RULE_ID, [], []), enabled: false },
      rule('.m.rule.suppress_notices', [matches('content.msgtype', 'm.notice')], []),
      rule(
        '.m.rule.invite_for_me',
        [matches('type', 'm.room.member'), matches('content.membership', 'invite'), matches('state_key', userId)],
        ['notify', DEFAULT_SOUND],
      ),
      rule('.m.rule.member_event', [matches('type', 'm.room.member')], []),
      rule(
        '.m.rule.is_user_mention',
        [{ kind: 'event_property_contains', key: 'content.m\\.mentions.user_ids', value: userId }],
        ['notify', DEFAULT_SOUND, HIGHLIGHT],
      ),
      rule('.m.rule.contains_display_name', [{ kind: 'contains_display_name' }], ['notify', DEFAULT_SOUND, HIGHLIGHT]),
      rule(
        '.m.rule.is_room_mention',
        [is('content.m\\.mentions.room', true), { kind: 'sender_notification_permission', key: 'room' }],
        ['notify', HIGHLIGHT],
      ),
      rule(
        '.m.rule.roomnotif',
        [matches('content.body', '@room'), { kind: 'sender_notification_permission', key: 'room' }],
        ['notify', HIGHLIGHT],
      ),
      rule('.m.rule.tombstone', [matches('type', 'm.room.tombstone'), matches('state_key', '')], ['notify', HIGHLIGHT]),
      rule('.m.rule.reaction', [matches('type', 'm.reaction')], []),
      rule('.m.rule.room.server_acl', [matches('type', 'm.room.server_acl'), matches('state_key', '')], []),
      rule('.m.rule.suppress_edits', [is('content.m\\.relates_to.rel_type', 'm.replace')], []),
    ],
    content: [
      {
        rule_id: '.m.rule.contains_user_name',
        default: true,
        enabled: true,
        pattern: localpartOf(userId),
        actions: ['notify', DEFAULT_SOUND, HIGHLIGHT],
      },
    ],
    // Threads that the user does not follow are silent, those that they follow notify whatever the room's rules say: MSC4306.
    postcontent: [
      rule('.io.element.msc4306.rule.unsubscribed_thread', [followsThread(false)], []),
      rule('.io.element.msc4306.rule.subscribed_thread', [followsThread(true)], ['notify', DEFAULT_SOUND]),
    ],
    room: [],
    sender: [],
    underride: [
      rule('.m.rule.call', [matches('type', 'm.call.invite')], ['notify', RING]),
      rule(
        '.m.rule.encrypted_room_one_to_one',
        [{ kind: 'room_member_count', is: '2' }, matches('type', 'm.room.encrypted')],
        ['notify', DEFAULT_SOUND],
      ),
      rule(
        '.m.rule.room_one_to_one',
        [{ kind: 'room_member_count', is: '2' }, matches('type', 'm.room.message')],
        ['notify', DEFAULT_SOUND],
      ),
      rule('.m.rule.message', [matches('type', 'm.room.message')], ['notify']),
      rule('.m.rule.encrypted', [matches('type', 'm.room.encrypted')], ['notify']),
    ],
  };
}

function rule(ruleId: string, conditions: readonly JsonObject[], actions: readonly PushAction[]): PushRule {
  return { rule_id: ruleId, default: true, enabled: true, conditions, actions };
}

function matches(key: string, pattern: string): JsonObject {
  return { kind: 'event_match', key, pattern };
}

function followsThread(subscribed: boolean): JsonObject {
  return { kind: 'io.element.msc4306.thread_subscription', subscribed };
}

function is(key: string, value: string | boolean): JsonObject {
  return { kind: 'event_property_is', key, value };
}
