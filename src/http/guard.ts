/**
 * What stands before endpoints that not everybody may call, or that are answered for: who may, and that it is on record. The
 * framework asks twice: when the token is known, and when the request is parsed and before its handler runs.
 */
import type { AuditTarget } from '#projections/audit/records.ts';
import type { AuditAction } from '#src/audit/actions.ts';
import type { Capability } from '#src/roles/capabilities.ts';
import type { Standing } from '#src/roles/standing.ts';
import type { Endpoint, EndpointRequest, HandlerResult, Requester } from './endpoint.ts';

/** What an endpoint says of one request for the audit log, and for the limits of roles. */
export interface Described {
  /** Default: the user, room, event or media that the path names. */
  readonly target?: AuditTarget | undefined;
  /** The room that it is about; default the one that the path names. Roles that are limited to rooms are held to it. */
  readonly roomId?: string | undefined;
  /** The case that what is asked for belongs to. Roles that are limited to a case are held to it. */
  readonly caseId?: string | undefined;
  /** Whether it belongs to a case beside that: holds say so. Who has a role for such a case needs none for its room. */
  readonly isOfCase?: ((caseId: string) => boolean) | undefined;
  /** Why it may be asked for without saying why: a report is a reason of its own. */
  readonly reason?: string | undefined;
  /** What there is now, and what is to be: any JSON without secrets. */
  readonly before?: unknown;
  readonly after?: unknown;
}

/** What is on record of the requests of an endpoint. */
export interface AuditDeclaration {
  readonly action: AuditAction;
  /**
   * Set where the handler itself keeps to the rooms and the case of `requester.standing`: lists. Without it, requests that name no
   * room are not for roles that are limited to some.
   */
  readonly isScopedInHandler?: boolean;
  /**
   * What one request is about; null where it has not to be answered for (somebody asks about themselves). May throw `MatrixError`
   * for what makes no sense: then nothing is recorded.
   */
  readonly describe?: (request: never, context: never) => Described | null;
}

/** What is asked for before it is parsed. */
export interface Asked extends Pick<Endpoint<never>, 'method' | 'path'> {
  readonly may: Capability;
}

/** A parsed request, as the guard sees it. */
export interface Entering {
  readonly endpoint: Pick<Endpoint<never>, 'method' | 'path' | 'may'>;
  readonly audit: AuditDeclaration;
  readonly request: Pick<EndpointRequest, 'params' | 'header' | 'ip'> & { readonly requester: Requester | undefined };
  /** The body as it was sent, where it is JSON. */
  readonly json: Readonly<Record<string, unknown>> | undefined;
  /** Undefined where the declaration has no `describe`. */
  readonly described: Described | undefined;
}

/** A request that was let in, and is on record. */
export interface Entered {
  /** The requester with the standing that let them in, for the handler. */
  readonly requester: Requester | undefined;
  /** Puts on record that the handler threw. */
  failed(error: unknown): Promise<void>;
}

/** A request that is made with a token that was lent. */
export interface LentUse {
  readonly endpoint: Pick<Endpoint<never>, 'method' | 'path'>;
  readonly requester: Requester;
  readonly params: Readonly<Record<string, string>>;
  readonly ip: string;
}

/** Keeps what administrators do who act as somebody else. */
export interface LentWatch {
  /** Resolves when it is on record that the request is made. Where it rejects nothing is done. */
  begins(use: LentUse): Promise<void>;
  /** Resolves when it is on record of which rooms the answer shows something. Where it rejects it is not sent. */
  shows(use: LentUse, result: HandlerResult): Promise<void>;
}

export interface Guard {
  /** Asked for requests with tokens that were lent. */
  readonly lent?: LentWatch | undefined;
  /**
   * Whether somebody may do such a thing at all. That they may not is on record when it rejects.
   * @throws {MatrixError} `M_FORBIDDEN`
   */
  admit(requester: Requester, asked: Asked, ip: string): Promise<void> | undefined;
  /**
   * Lets one request in and puts it on record; when it resolves, that is durable.
   * @throws {MatrixError} `M_FORBIDDEN` where the role does not reach so far, or a reason or a case is missing; that is on record then
   */
  enter(entering: Entering): Promise<Entered>;
}

/** The standing with which a request was let in. @throws {Error} where the endpoint has no `may`. */
export function standingOf({ standing }: Requester): Standing {
  if (standing === undefined)
    throw new Error('an endpoint without a capability asks for the standing of its requester');
  return standing;
}
