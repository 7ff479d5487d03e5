/**
 * Every action that the audit log knows, by its name: the subject, a dot, what was done. Rows are added, never renamed: old
 * entries keep their names, and auditors ask by them.
 */

/** What the catalogue says of an action. */
export interface ActionNote {
  /** What somebody did who is on record with it. */
  readonly says: string;
  /** Set where the action shows what people wrote to somebody who need not be one of them: it needs a reason and a case. */
  readonly readsContent?: true;
}

export const ACTIONS = {
  'session.start': { says: 'Logged in.' },
  'session.fail': { says: 'Tried to log in, or to confirm who they are, and did not know the password.' },
  'session.end_all': { says: 'Logged all devices of an account out.' },
  'device.delete': { says: 'Removed devices of an account, and with them their sessions.' },
  'access.refuse': { says: 'Asked for what none of their roles lets them do.' },
  'user.register': { says: 'Made an account.' },
  'user.list': { says: 'Was shown a list of accounts.' },
  'user.read': { says: 'Was shown what the server knows of an account: devices, addresses, rooms, restrictions.' },
  'user.create': { says: 'Made an account for somebody, or changed one as a whole.' },
  'user.modify': { says: 'Changed an account.' },
  'user.password': { says: 'Set the password of an account.' },
  'user.admin': { says: 'Made a user a server administrator, or no longer one.' },
  'user.suspend': { says: 'Suspended an account, or lifted that.' },
  'user.lock': { says: 'Locked an account, or lifted that.' },
  'user.shadow_ban': { says: 'Hid from others what a user sends, or lifted that.' },
  'user.key_replacement': { says: 'Let a user replace their cross-signing keys without confirming it.' },
  'user.rate_limit': { says: 'Let a user send more, or less, than others.' },
  'user.deactivate': { says: 'Closed an account.' },
  'user.reactivate': { says: 'Opened an account again.' },
  'user.login_as': {
    says: 'Was given a token that acts as another user, and reads what they can.',
    readsContent: true,
  },
  'user.act_as': { says: 'Did something as another user, with a token that they were given for that.' },
  'user.redact': { says: 'Redacted what a user sent.' },
  'user.account_data': { says: 'Was shown the account data of a user.', readsContent: true },
  'user.media': { says: 'Was shown the list of what a user uploaded.' },
  'room.list': { says: 'Was shown a list of rooms.' },
  'room.read': { says: 'Was shown what the server knows of a room: details, members, state, extremities.' },
  'room.delete': { says: 'Removed a room, or its members.' },
  'room.block': { says: 'Blocked a room, or lifted that.' },
  'room.make_admin': { says: 'Gave a user the highest power level in a room.' },
  'room.join': { says: 'Made a user join a room.' },
  'room.alias': { says: 'Gave a room an alias, or took one away, as a server administrator.' },
  'room.publish': { says: 'Put a room on the list of public rooms, or off it, as a server administrator.' },
  'room.purge_history': { says: 'Removed old events of a room.' },
  'room.extremities': { says: 'Removed forward extremities of a room.' },
  'content.read': { says: 'Was shown what people wrote in a room.', readsContent: true },
  'content.search': { says: 'Searched what people wrote.', readsContent: true },
  'content.visible_to': { says: 'Asked who could have seen an event.' },
  'content.redact': { says: 'Redacted what somebody else sent.' },
  'media.list': { says: 'Was shown a list of media.' },
  'media.read': { says: 'Was shown media that others sent.', readsContent: true },
  'media.delete': { says: 'Removed media.' },
  'media.quarantine': { says: 'Put media in quarantine, or took it out.' },
  'media.protect': { says: 'Protected media from quarantine, or lifted that.' },
  'media.purge': { says: 'Removed media of other servers.' },
  'notice.send': { says: 'Sent a user a message of the server.' },
  'report.list': { says: 'Was shown a list of reports.' },
  'report.read': { says: 'Was shown a report.' },
  'report.delete': { says: 'Took a report off the list.' },
  'report.claim': { says: 'Took a report on.' },
  'report.resolve': { says: 'Resolved a report.' },
  'report.appeal': { says: 'Appealed against how a report was resolved.' },
  'report.reopen': { says: 'Opened a report again.' },
  'evidence.list': { says: 'Was shown which evidence was captured, without what people wrote.' },
  'evidence.read': {
    says: 'Was shown captured evidence: what was reported or acted on, and its context.',
    readsContent: true,
  },
  'registration_token.list': { says: 'Was shown registration tokens.' },
  'registration_token.create': { says: 'Made a registration token.' },
  'registration_token.modify': { says: 'Changed or removed a registration token.' },
  'federation.read': { says: 'Was shown how other servers are reached.' },
  'federation.reset': { says: 'Had another server tried again at once.' },
  'statistics.read': { says: 'Was shown figures about users or rooms.' },
  'task.read': { says: 'Was shown background tasks.' },
  'task.write': { says: 'Changed or started background tasks.' },
  'server.read': { says: 'Was shown what the server says of itself to administrators.' },
  'configuration.change': { says: 'The server was started with another configuration than before.' },
  'key.list': { says: 'Was shown the signing keys.' },
  'key.rotate': { says: 'Had the server sign with a new key.' },
  'key.in_use': { says: 'The server was started with another signing key than before.' },
  'role.list': { says: 'Was shown who has which role.' },
  'role.grant': { says: 'Gave somebody a role.' },
  'role.revoke': { says: 'Took a role from somebody.' },
  'break_glass.request': { says: 'Asked for everything to be opened for a while.' },
  'break_glass.approve': { says: 'Let somebody else open everything for a while.' },
  'token.list': { says: 'Was shown scoped tokens.' },
  'token.create': { says: 'Made a scoped token.' },
  'token.revoke': { says: 'Took a scoped token back.' },
  'audit.read': { says: 'Asked the audit log.' },
  'proof.read': { says: 'Asked for a proof.' },
  'policy.read': { says: 'Was shown retention policies.' },
  'policy.change': { says: 'Changed a retention policy.' },
  'retention.run': { says: 'Let what has expired be destroyed.' },
  'hold.list': { says: 'Was shown legal holds.' },
  'hold.set': { says: 'Set a legal hold, or asked for one.' },
  'hold.release': { says: 'Released a legal hold, or asked for that.' },
  'erasure.read': { says: 'Was shown erasure requests or certificates.' },
  'erasure.request': { says: 'Asked for a user to be erased.' },
  'erasure.run': { says: 'Destroyed what an erasure request is about.' },
  'export.make': { says: 'Exported what people wrote.', readsContent: true },
  'export.read': { says: 'Was shown which exports there are.' },
  'export.download': { says: 'Was given an export: what people wrote.', readsContent: true },
  'export.remove': { says: 'Removed an export from the server.' },
  'backup.make': { says: 'Made a backup.' },
  'backup.restore': { says: 'Restored a backup.' },
  'witness.alarm': { says: 'Was told by a witness that the log contradicts what it had seen of it.' },
  'backup.drill': { says: 'Tried whether a backup can be restored.' },
} as const satisfies Readonly<Record<string, ActionNote>>;

/** A name of the catalogue. */
export type AuditAction = keyof typeof ACTIONS;

/** What the catalogue says of an action. */
export function noteOf(action: AuditAction): ActionNote {
  return ACTIONS[action];
}
