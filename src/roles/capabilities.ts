/**
 * Who may do what: capabilities, and the roles that have them, as one table. An endpoint names the capability that it needs;
 * nothing else in the server asks what role somebody has.
 */

/** What somebody can be let do, and what that covers. */
export const CAPABILITIES = {
  'users.read': 'See accounts: who there is, their devices, addresses, rooms and restrictions.',
  'users.write': 'Make, change, restrict and close accounts.',
  'users.impersonate': 'Get a token that acts as another user.',
  'rooms.read': 'See rooms: who is in them, their settings and state.',
  'rooms.write': 'Block and remove rooms, purge their history, make administrators of them.',
  'content.read': 'Read what people wrote, each time for a reason and under a case.',
  'content.redact': 'Redact what people sent.',
  'media.read': 'See which media there is.',
  'media.write': 'Quarantine, protect and remove media.',
  'notices.send': 'Send users messages of the server.',
  'reports.read': 'See what was reported.',
  'reports.write': 'Claim and resolve reports.',
  'evidence.read': 'See captured evidence, each time for a reason and under a case.',
  'registration.read': 'See registration tokens.',
  'registration.write': 'Make, change and remove registration tokens.',
  'federation.read': 'See how other servers are reached.',
  'federation.write': 'Have other servers tried again.',
  'server.read': 'See version, figures and background tasks.',
  'server.write': 'Start and change background tasks.',
  'retention.read': 'See retention policies and plans.',
  'retention.write': 'Change retention policies.',
  'holds.read': 'See legal holds.',
  'holds.write': 'Set and release legal holds.',
  'search.all': 'Search what people wrote, each time for a reason and under a case.',
  'exports.read': 'See exports and verify them.',
  'exports.write': 'Export what people wrote, under a case.',
  'erasures.read': 'See erasure requests and certificates.',
  'erasures.write': 'Ask for users to be erased.',
  'audit.read': 'Read the audit log.',
  'proofs.read': 'Ask for proofs, checkpoints, drills.',
  'roles.read': 'See who has which role, and scoped tokens.',
  'roles.write': 'Give and take roles.',
  'tokens.write': 'Make scoped tokens for oneself.',
  'break_glass.request': 'Ask for everything to be opened for a while.',
  'break_glass.approve': 'Let somebody else open everything for a while.',
} as const satisfies Readonly<Record<string, string>>;

/** A name of the table of capabilities. */
export type Capability = keyof typeof CAPABILITIES;

/** What a role is limited to beside its capabilities: nothing, rooms that the grant names, or one case. */
export type RoleScope = 'server' | 'rooms' | 'case';

interface RoleNote {
  readonly says: string;
  readonly scope: RoleScope;
  readonly capabilities: readonly Capability[];
}

const ALL = Object.keys(CAPABILITIES) as Capability[];

/** What server administrators cannot do, because others are there for it. */
const NOT_FOR_ADMINISTRATORS: ReadonlySet<Capability> = new Set<Capability>([
  'holds.write',
  'search.all',
  'exports.write',
  'erasures.write',
]);

/** The roles. */
export const ROLES = {
  admin: {
    says: 'Runs the server. What server administrators are without being given it.',
    scope: 'server',
    capabilities: ALL.filter((capability) => !NOT_FOR_ADMINISTRATORS.has(capability)),
  },
  moderator: {
    says: 'Looks after some rooms: reports, evidence, media, redactions.',
    scope: 'rooms',
    capabilities: [
      'rooms.read',
      'content.read',
      'content.redact',
      'media.read',
      'media.write',
      'reports.read',
      'reports.write',
      'evidence.read',
      'tokens.write',
    ],
  },
  compliance_officer: {
    says: 'Holds, searches and exports.',
    scope: 'server',
    capabilities: [
      'users.read',
      'rooms.read',
      'content.read',
      'reports.read',
      'evidence.read',
      'retention.read',
      'holds.read',
      'holds.write',
      'search.all',
      'exports.read',
      'exports.write',
      'erasures.read',
      'proofs.read',
      'tokens.write',
      'break_glass.request',
      'break_glass.approve',
    ],
  },
  reviewer: {
    says: 'Reads what belongs to one case.',
    scope: 'case',
    capabilities: ['rooms.read', 'content.read', 'evidence.read', 'holds.read', 'exports.read', 'tokens.write'],
  },
  auditor: {
    says: 'Reads the audit log and asks for proofs; sees nothing that people wrote.',
    scope: 'server',
    capabilities: [
      'audit.read',
      'proofs.read',
      'roles.read',
      'holds.read',
      'retention.read',
      'erasures.read',
      'server.read',
      'tokens.write',
    ],
  },
  data_protection_officer: {
    says: 'Has people erased, and sees what became of it.',
    scope: 'server',
    capabilities: [
      'users.read',
      'holds.read',
      'retention.read',
      'erasures.read',
      'erasures.write',
      'audit.read',
      'proofs.read',
      'tokens.write',
      'break_glass.approve',
    ],
  },
  break_glass: {
    says: 'Everything, until a time, when two people want it.',
    scope: 'server',
    capabilities: ALL.filter((capability) => capability !== 'roles.write' && !capability.startsWith('break_glass.')),
  },
} as const satisfies Readonly<Record<string, RoleNote>>;

/** A name of the table of roles. */
export type Role = keyof typeof ROLES;

/** Roles that can be given; `break_glass` is asked for and approved instead. */
export const GRANTABLE_ROLES: readonly Role[] = (Object.keys(ROLES) as Role[]).filter((role) => role !== 'break_glass');

/** Whether a text is the name of a role. */
export function isRole(text: string): text is Role {
  return Object.hasOwn(ROLES, text);
}

/** Whether a role has a capability. */
export function roleHas(role: Role, capability: Capability): boolean {
  return (ROLES[role] as RoleNote).capabilities.includes(capability);
}

/** What a role is limited to. */
export function scopeOf(role: Role): RoleScope {
  return ROLES[role].scope;
}
