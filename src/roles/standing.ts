import type { Role } from './capabilities.ts';

/** In which role somebody acts, and what limits it. */
export interface Standing {
  readonly role: Role;
  /** The grant, scoped token or break-glass request that gives the role; undefined for server administrators. */
  readonly grantId: string | undefined;
  /** The rooms that it is limited to; undefined for no such limit. */
  readonly rooms: readonly string[] | undefined;
  /** The case that it is limited to, or that everything done with it is under. */
  readonly caseId: string | undefined;
  /** Why everything with it is done; undefined where each request has to say. */
  readonly reason: string | undefined;
}

/** What server administrators have without a grant. */
export const ADMINISTRATOR: Standing = {
  role: 'admin',
  grantId: undefined,
  rooms: undefined,
  caseId: undefined,
  reason: undefined,
};
