/**
 * What erasure and retention do with each kind of record. A new kind does not compile until it has a line here; what the lines say
 * of the selected is what `itemsOf` (items.ts) gives.
 */
import type { RecordKind } from '#streams/kinds.ts';

/** What of a kind may go. */
export type Selection =
  /** All of it, or all that people said in it, with the person whose it is. */
  | { readonly is: 'selected' }
  /** It names people and is told in their certificates; it stays, or goes by an age of its own, for the reason that the item names. */
  | { readonly is: 'needed' }
  /** It says nothing of a person, or nothing that other records do not hold: why. */
  | { readonly is: 'impersonal'; readonly why: string };

const SELECTED: Selection = { is: 'selected' };
const NEEDED: Selection = { is: 'needed' };
const POSITIONS: Selection = {
  is: 'impersonal',
  why: 'It names events, and says what the server thinks of them; what they say is in their own records.',
};
const SERVERS: Selection = { is: 'impersonal', why: 'It is about other servers.' };
const OF_THIS_SERVER: Selection = { is: 'impersonal', why: 'It is about this server.' };
const TOKENS: Selection = { is: 'impersonal', why: 'A token is for whoever has it; who used it is not in it.' };

/** Each kind in the catalogue. */
export const SELECTIONS: Readonly<Record<RecordKind, Selection>> = {
  pdu: SELECTED,
  'pdu.disposition': POSITIONS,
  'room.state_given': POSITIONS,
  'room.state_taken': POSITIONS,
  'room.members_awaited': POSITIONS,
  'room.event_held': POSITIONS,
  'room.members_told': POSITIONS,
  'user.registered': NEEDED,
  'user.guest_registered': SELECTED,
  'user.password_changed': SELECTED,
  'user.admin_changed': SELECTED,
  'user.suspension_changed': SELECTED,
  'user.lock_changed': SELECTED,
  'user.rate_limit_changed': SELECTED,
  'user.shadow_ban_changed': SELECTED,
  'user.key_replacement_allowed': SELECTED,
  'user.deactivated': NEEDED,
  'user.departed': NEEDED,
  'device.added': SELECTED,
  'device.renamed': SELECTED,
  'device.removed': SELECTED,
  'session.started': SELECTED,
  'session.refreshed': SELECTED,
  'session.confirmed': SELECTED,
  'registration_token.created': TOKENS,
  'registration_token.changed': TOKENS,
  'registration_token.removed': TOKENS,
  'room.forgotten': SELECTED,
  'alias.added': NEEDED,
  'alias.removed': { is: 'impersonal', why: 'It names the alias alone.' },
  'report.made': SELECTED,
  'report.changed': NEEDED,
  'evidence.captured': SELECTED,
  'room.block_changed': NEEDED,
  'room.listed': { is: 'impersonal', why: 'It names the room alone.' },
  'account_data.set': SELECTED,
  'filter.added': SELECTED,
  'receipt.sent': SELECTED,
  'profile.set': SELECTED,
  'delayed_event.scheduled': SELECTED,
  'delayed_event.restarted': SELECTED,
  'delayed_event.ended': SELECTED,
  'dehydrated_device.set': SELECTED,
  'media.reserved': SELECTED,
  'media.removed': SELECTED,
  'media.stored': SELECTED,
  'media.quarantine_changed': NEEDED,
  'media.protection_changed': NEEDED,
  'thread.subscribed': SELECTED,
  'thread.unsubscribed': SELECTED,
  'identity.bound': SELECTED,
  'identity.unbound': SELECTED,
  'pusher.set': SELECTED,
  'pusher.removed': SELECTED,
  'pusher.progress': SELECTED,
  'keys.uploaded': SELECTED,
  'keys.claimed': SELECTED,
  'cross_signing.uploaded': SELECTED,
  'signatures.uploaded': SELECTED,
  'inbox.delivered': SELECTED,
  'inbox.acknowledged': SELECTED,
  'key_backup.created': SELECTED,
  'key_backup.updated': SELECTED,
  'key_backup.deleted': SELECTED,
  'key_backup.keys_stored': SELECTED,
  'key_backup.keys_removed': SELECTED,
  'federation.destination_down': SERVERS,
  'federation.destination_up': SERVERS,
  'federation.keys_seen': SERVERS,
  'signing_key.activated': OF_THIS_SERVER,
  'audit.recorded': NEEDED,
  'role.granted': NEEDED,
  'role.revoked': NEEDED,
  'scoped_token.created': NEEDED,
  'scoped_token.revoked': NEEDED,
  'break_glass.requested': NEEDED,
  'break_glass.approved': NEEDED,
  'content.read': SELECTED,
  'outbox.queued': SELECTED,
  'remote_devices.listed': SELECTED,
  'remote_devices.changed': SELECTED,
  'remote_devices.signing_keys_changed': SELECTED,
  'remote_devices.outdated': SELECTED,
  'federation.sent': SERVERS,
  'checkpoint.timestamped': OF_THIS_SERVER,
  'checkpoint.cosigned': OF_THIS_SERVER,
  'witness.alarm': OF_THIS_SERVER,
  'backup.made': NEEDED,
  'backup.pruned': NEEDED,
  'backup.drilled': NEEDED,
  'backup.restored': NEEDED,
  'destruction.decided': NEEDED,
  'destruction.finished': NEEDED,
  'decision.kept': NEEDED,
  'erasure.requested': NEEDED,
  'erasure.deferred': NEEDED,
  'erasure.completed': NEEDED,
  'hold.added': NEEDED,
  'hold.released': NEEDED,
  'policy.retention_set': NEEDED,
};
