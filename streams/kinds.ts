/**
 * Every kind of record that the log may hold: kind → the version written now and what the record says. A kind's name is
 * public and hashed with its record; it says nothing personal. Rows are added, never removed: old records stay readable.
 */
export const recordKinds = {
  pdu: {
    version: 1,
    says: 'A PDU as first seen: its skeleton (what redaction keeps) and its content (what it strips).',
  },
  'pdu.disposition': {
    version: 1,
    says: 'The server thinks otherwise of an event that it recorded before: it got its place, or turned out valid.',
  },
  'room.state_given': {
    version: 1,
    says: 'The state before an event as a peer gave it, by the positions of its state events; a part of it.',
  },
  'room.state_taken': {
    version: 1,
    says: 'A part of the state of a room that the server takes over as it comes in, as what it changes of what was known.',
  },
  'room.members_awaited': {
    version: 1,
    says: 'The server is in a room of which it was not told all members yet: since which event, and which servers are in it.',
  },
  'room.event_held': {
    version: 1,
    says: 'An event of another server is judged when all members of its room are known.',
  },
  'room.members_told': {
    version: 1,
    says: 'All members of a room are known now that were not when the server came in.',
  },
  'user.registered': {
    version: 1,
    says: 'An account was made: whose it is, and what it may do; the hash of its password apart.',
  },
  'user.guest_registered': {
    version: 1,
    says: 'A guest made their account one like any other; the hash of its password apart.',
  },
  'user.password_changed': {
    version: 1,
    says: 'An account has another password; its hash apart.',
  },
  'user.admin_changed': {
    version: 1,
    says: 'An account became, or ceased to be, a server administrator.',
  },
  'user.suspension_changed': {
    version: 1,
    says: 'An account was suspended, or is so no more.',
  },
  'user.lock_changed': {
    version: 1,
    says: 'An account was locked, or is so no more.',
  },
  'user.shadow_ban_changed': {
    version: 1,
    says: 'What an account sends goes nowhere, which its owner is not told, or does so no more.',
  },
  'user.key_replacement_allowed': {
    version: 1,
    says: 'For a while a user may replace their cross-signing keys without confirming it.',
  },
  'user.rate_limit_changed': {
    version: 1,
    says: 'A user may send more, or less, than others at a time.',
  },
  'user.deactivated': {
    version: 1,
    says: 'An account was closed for ever.',
  },
  'user.departed': {
    version: 1,
    says: 'The owner of a closed account has left all rooms.',
  },
  'device.added': {
    version: 1,
    says: 'An account has a new device.',
  },
  'device.renamed': {
    version: 1,
    says: 'A device has another display name.',
  },
  'device.removed': {
    version: 1,
    says: 'Devices are gone, and with them their sessions and keys.',
  },
  'session.started': {
    version: 1,
    says: 'A device was logged in: the hashes of its tokens.',
  },
  'session.refreshed': {
    version: 1,
    says: 'A device got new tokens for its refresh token.',
  },
  'session.confirmed': {
    version: 1,
    says: 'A device used its new tokens: the ones before are void.',
  },
  'registration_token.created': {
    version: 1,
    says: 'A token that lets people register was made.',
  },
  'registration_token.changed': {
    version: 1,
    says: 'A token that lets people register is good for another number of them, or until another time.',
  },
  'registration_token.removed': {
    version: 1,
    says: 'A token that let people register does so no more.',
  },
  'room.forgotten': {
    version: 1,
    says: 'A user took a room that they had left out of their history.',
  },
  'alias.added': {
    version: 1,
    says: 'A room got an alias.',
  },
  'alias.removed': {
    version: 1,
    says: 'An alias does not point to its room any more.',
  },
  'report.made': {
    version: 1,
    says: 'A user reported a room, an event or another user: who and what, and the reason apart.',
  },
  'report.changed': {
    version: 1,
    says: 'What moderators did with a report: claimed, resolved, appealed, opened again, off the list; and their note apart.',
  },
  'evidence.captured': {
    version: 1,
    says: 'What was reported or acted on by a moderator, as it was: what it is about, and its content and context apart.',
  },
  'room.block_changed': {
    version: 1,
    says: 'An administrator lets nobody of this server into a room, or does so again.',
  },
  'room.listed': {
    version: 1,
    says: 'A room was put on the list of public rooms, or taken off it.',
  },
  'account_data.set': {
    version: 1,
    says: "A user's account data, global or of a room: which entry, and its content apart.",
  },
  'filter.added': {
    version: 1,
    says: 'A user uploaded a filter.',
  },
  'receipt.sent': {
    version: 1,
    says: 'A user has read a room up to an event.',
  },
  'profile.set': {
    version: 1,
    says: "A field of a user's profile was set or removed: which one, and its value apart.",
  },
  'delayed_event.scheduled': {
    version: 1,
    says: 'A user wants an event to be sent later: where and when, and its content apart.',
  },
  'delayed_event.restarted': {
    version: 1,
    says: 'The delay of an event that is to be sent later began anew.',
  },
  'delayed_event.ended': {
    version: 1,
    says: 'An event that was to be sent later was sent, or will not be.',
  },
  'dehydrated_device.set': {
    version: 1,
    says: 'A device of a user is one that is nowhere: which one, and what its owner needs to bring it back apart, encrypted.',
  },
  'media.reserved': {
    version: 1,
    says: 'A media id was given out for an upload to come: which one, to whom, and until when.',
  },
  'media.removed': {
    version: 1,
    says: 'A file that was uploaded is not served any more.',
  },
  'media.stored': {
    version: 1,
    says: 'A file was uploaded: its id, digest, size, type and name, and by whom; not its content.',
  },
  'media.quarantine_changed': {
    version: 1,
    says: 'A media, of whichever server, may not be seen by anybody, or may be again: its id, its digest, and by whom.',
  },
  'media.protection_changed': {
    version: 1,
    says: 'An upload cannot be put into quarantine, or can be again: its id, and by whom.',
  },
  'thread.subscribed': {
    version: 1,
    says: 'A user follows a thread.',
  },
  'thread.unsubscribed': {
    version: 1,
    says: 'A user follows a thread no more.',
  },
  'identity.bound': {
    version: 1,
    says: "An identity server was told that an address is a user's.",
  },
  'identity.unbound': {
    version: 1,
    says: "An identity server was told that an address is the user's no more.",
  },
  'pusher.set': {
    version: 1,
    says: 'A user wants notifications to go somewhere.',
  },
  'pusher.removed': {
    version: 1,
    says: 'Notifications of a user go somewhere no more.',
  },
  'pusher.progress': {
    version: 1,
    says: 'How far the notifications of a pusher have been sent.',
  },
  'keys.uploaded': {
    version: 1,
    says: 'A device published keys: its own, one-time keys, fallback keys.',
  },
  'keys.claimed': {
    version: 1,
    says: 'One-time keys, or fallback keys, of devices were given to somebody.',
  },
  'cross_signing.uploaded': {
    version: 1,
    says: 'A user published cross-signing keys.',
  },
  'signatures.uploaded': {
    version: 1,
    says: 'A user signed devices or cross-signing keys.',
  },
  'inbox.delivered': {
    version: 1,
    says: 'A message to devices of a user came in: which devices and from whom, and its content apart.',
  },
  'inbox.acknowledged': {
    version: 1,
    says: 'Devices have got the messages to them, up to a position.',
  },
  'key_backup.created': {
    version: 1,
    says: 'A user began a backup of room keys.',
  },
  'key_backup.updated': {
    version: 1,
    says: 'A backup of room keys has other authentication data.',
  },
  'key_backup.deleted': {
    version: 1,
    says: 'A backup of room keys is gone, with all keys in it.',
  },
  'key_backup.keys_stored': {
    version: 1,
    says: 'Room keys were put into a backup: which ones, and the encrypted keys apart.',
  },
  'key_backup.keys_removed': {
    version: 1,
    says: 'Room keys were taken out of a backup.',
  },
  'federation.destination_down': {
    version: 1,
    says: 'Another server has not been reached for a while: which one, since when, and when it is tried again.',
  },
  'federation.destination_up': {
    version: 1,
    says: 'Another server is reached again.',
  },
  'federation.keys_seen': {
    version: 1,
    says: 'What another server said of its signing keys, with its signature.',
  },
  'signing_key.activated': {
    version: 1,
    says: 'This server signs with another key from now on: its id and its public half.',
  },
  'audit.recorded': {
    version: 1,
    says: 'Somebody did, or tried to do, what has to be answered for: who, what, why and from where; what was before and after apart.',
  },
  'role.granted': {
    version: 1,
    says: 'Somebody was given a role: which one, what limits it, by whom, why and until when.',
  },
  'role.revoked': {
    version: 1,
    says: 'A role was taken back.',
  },
  'scoped_token.created': {
    version: 1,
    says: 'A token was made for one role, one reason and a limited time: its hash.',
  },
  'scoped_token.revoked': {
    version: 1,
    says: 'A scoped token is good for nothing any more.',
  },
  'break_glass.requested': {
    version: 1,
    says: 'Somebody asked for everything to be opened for a while: why, and under which case.',
  },
  'break_glass.approved': {
    version: 1,
    says: 'A second person let somebody open everything until a time.',
  },
  'content.read': {
    version: 1,
    says: 'Somebody who may redact in a room was shown what a redaction had taken away: who, and of which event.',
  },
  'outbox.queued': {
    version: 1,
    says: 'Messages to devices of users of another server wait to be sent there: which server, and the messages apart.',
  },
  'remote_devices.listed': {
    version: 1,
    says: 'Another server gave the list of the devices of one of its users, with their keys.',
  },
  'remote_devices.changed': {
    version: 1,
    says: 'Another server told of a device of one of its users that is new, other or gone.',
  },
  'remote_devices.signing_keys_changed': {
    version: 1,
    says: 'Another server told of new cross-signing keys of one of its users.',
  },
  'remote_devices.outdated': {
    version: 1,
    says: 'The list of the devices of a user of another server has to be asked for anew.',
  },
  'federation.sent': {
    version: 1,
    says: 'Up to which position other servers have got what they are to get.',
  },
  'checkpoint.timestamped': {
    version: 1,
    says: 'An authority stamped the time on a checkpoint of this log.',
  },
  'checkpoint.cosigned': {
    version: 1,
    says: 'Witnesses cosigned a checkpoint of this log.',
  },
  'witness.alarm': {
    version: 1,
    says: 'A witness saw something else of this log than what it is.',
  },
  'backup.made': {
    version: 1,
    says: 'A backup of this server was made: up to which checkpoint.',
  },
  'backup.pruned': {
    version: 1,
    says: 'Old generations of a backup are removed, recorded before they are, or have to be kept: which ones, and why.',
  },
  'backup.drilled': {
    version: 1,
    says: 'A backup was restored to a temporary folder and verified: how long it took, and what came of it.',
  },
  'backup.restored': {
    version: 1,
    says: 'This log goes on from a backup: what came after these records before is gone.',
  },
  'destruction.decided': {
    version: 1,
    says: 'Sections of records, and files, are to be destroyed: which ones, for what cause and by which rule.',
  },
  'destruction.finished': {
    version: 1,
    says: 'All that was decided to be destroyed up to a record is gone: keys, rows and files.',
  },
  'decision.kept': {
    version: 1,
    says: 'Something was asked for to be destroyed and is kept: what, and by which rule or hold.',
  },
  'erasure.requested': {
    version: 1,
    says: 'Somebody asked for all that is kept of a user to be destroyed.',
  },
  'erasure.deferred': {
    version: 1,
    says: 'A part of what is to be erased waits for holds to be released.',
  },
  'erasure.completed': {
    version: 1,
    says: 'An erasure is done: its certificate.',
  },
  'hold.added': {
    version: 1,
    says: 'Something must not be destroyed: which people, rooms, times or files, and for which case.',
  },
  'hold.released': {
    version: 1,
    says: 'A hold stands no more: who released it, and why.',
  },
  'policy.retention_set': {
    version: 1,
    says: 'How long things are kept from now on.',
  },
} as const satisfies Readonly<Record<string, { readonly version: number; readonly says: string }>>;

/** A kind in the catalogue. */
export type RecordKind = keyof typeof recordKinds;
