/** What can come of a request to another server. */

/**
 * `unreachable`: no name, no connection, no trusted certificate, or the connection broke. `timed_out`: too slow. `refused`: this
 * server does not go there (a private address, no server name, itself, federation is off). `busy`: too many requests wait
 * for this destination already. `bad_answer`: not what was asked for. `http`: a status that is no success, see `status` and
 * `errcode`. `backing_off`: it failed a while ago and is not asked before `retryAtMs`.
 */
export type FederationErrorKind =
  | 'unreachable'
  | 'timed_out'
  | 'refused'
  | 'busy'
  | 'bad_answer'
  | 'http'
  | 'backing_off';

export interface FederationErrorDetails {
  /** The answer's status, for `http` and `bad_answer`. */
  readonly status?: number;
  /** The Matrix error code of an `http` error, where the answer has one. */
  readonly errcode?: string;
  /** The sentence of an `http` error, where the answer has one. Written by the other server. */
  readonly reason?: string;
  /** `room_version` of an `M_INCOMPATIBLE_ROOM_VERSION` error. */
  readonly roomVersion?: string;
  /** For `backing_off`, and for status 429 where the answer says it: milliseconds since the epoch. */
  readonly retryAtMs?: number;
  readonly cause?: unknown;
}

/** What a server that is well answers with the status of a gateway: of media that are awaited, or that are too large. */
const SAID_OF_MEDIA: ReadonlySet<string> = new Set(['M_NOT_YET_UPLOADED', 'M_TOO_LARGE']);

/** A request to another server did not succeed. The message is for logs. */
export class FederationError extends Error {
  override readonly name = 'FederationError';
  readonly kind: FederationErrorKind;
  /** The server name that was asked. */
  readonly destination: string;
  readonly status: number | undefined;
  readonly errcode: string | undefined;
  readonly reason: string | undefined;
  readonly roomVersion: string | undefined;
  readonly retryAtMs: number | undefined;

  constructor(kind: FederationErrorKind, destination: string, message: string, details: FederationErrorDetails = {}) {
    super(`${destination}: ${message}`, details.cause === undefined ? undefined : { cause: details.cause });
    this.kind = kind;
    this.destination = destination;
    this.status = details.status;
    this.errcode = details.errcode;
    this.reason = details.reason;
    this.roomVersion = details.roomVersion;
    this.retryAtMs = details.retryAtMs;
  }

  /** Whether the server itself, or the way to it, is in trouble, and not just this request. */
  get isServerDown(): boolean {
    if (this.kind === 'http') return isGatewayError(this.status) && !SAID_OF_MEDIA.has(this.errcode ?? '');
    return this.kind === 'unreachable' || this.kind === 'timed_out';
  }
}

/**
 * What reverse proxies answer for a server that is not there. A 500 is not among them: a bug in one endpoint of a server must not
 * stop everything else that goes to it.
 */
function isGatewayError(status: number | undefined): boolean {
  return (
    status !== undefined && (status === 502 || status === 503 || status === 504 || (status >= 520 && status <= 530))
  );
}
