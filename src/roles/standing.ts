import type { Role } from './capabilities.ts';

/** In which role somebody acts, and what limits it. */
export interface Standing {
  readonly role: Role;
  /** The grant or scoped token that gives the role; undefined for server administrators. */
  readonly grantId: string | undefined;
  /** The rooms that it is limited to; undefined for no such limit. */
  readonly rooms: readonly string[] | undefined;
  /** The case that everything done in it is under; undefined where each request has to say. */
  readonly caseId: string | undefined;
  /** Whether what is asked for has to belong to the case. */
  readonly isCaseFixed: boolean;
  /** Why everything in it is done; undefined where each request has to say. */
  readonly reason: string | undefined;
}

/** What server administrators have without a grant. */
export const ADMINISTRATOR: Standing = {
  role: 'admin',
  grantId: undefined,
  rooms: undefined,
  caseId: undefined,
  isCaseFixed: false,
  reason: undefined,
};
