/**
 * What can go wrong, as Matrix clients see it: one table of error codes, and the error that carries one.
 * https://spec.matrix.org/v1.19/client-server-api/#standard-error-response
 */

/** Each code with the status it usually has and the sentence it says when there is none more precise. */
const ERRORS = {
  'FI.MAU.MSC2815_UNREDACTED_CONTENT_DELETED': [404, 'The content was erased.'],
  'IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION': [409, 'You stopped following this thread after that.'],
  'IO.ELEMENT.MSC4306.M_NOT_IN_THREAD': [400, 'That event is not in this thread.'],
  M_BAD_ALIAS: [400, 'One of the aliases does not point to this room.'],
  M_BAD_JSON: [400, 'The JSON does not have the shape that this endpoint expects.'],
  M_BAD_STATE: [400, 'That cannot be done in the present state.'],
  M_CANNOT_OVERWRITE_MEDIA: [409, 'This media has its content already.'],
  M_CANNOT_LEAVE_SERVER_NOTICE_ROOM: [403, 'The server notices room cannot be left.'],
  M_CAPTCHA_INVALID: [401, 'The captcha was not solved.'],
  M_CAPTCHA_NEEDED: [401, 'A captcha has to be solved first.'],
  M_CONNECTION_FAILED: [502, 'The other server could not be reached.'],
  M_CONNECTION_TIMEOUT: [504, 'The other server took too long to answer.'],
  M_DUPLICATE_ANNOTATION: [400, 'This reaction was sent already.'],
  M_EXCLUSIVE: [400, 'This name is reserved by an application service.'],
  M_FORBIDDEN: [403, 'You are not allowed to do that.'],
  M_GUEST_ACCESS_FORBIDDEN: [403, 'Guests are not allowed to do that.'],
  M_INCOMPATIBLE_ROOM_VERSION: [400, 'The room has a version that is not supported.'],
  M_INVALID_PARAM: [400, 'A parameter has a wrong value.'],
  M_INVALID_ROOM_STATE: [400, 'The initial state makes no valid room.'],
  M_INVALID_SIGNATURE: [400, 'A signature is missing, or it is not right.'],
  M_INVALID_USERNAME: [400, 'This is not a valid user name.'],
  M_INVITE_BLOCKED: [403, 'This user does not want to be invited.'],
  M_KEY_TOO_LARGE: [400, 'The name of this field is too long.'],
  M_LIMIT_EXCEEDED: [429, 'Too many requests. Please wait a while and try again.'],
  M_MISSING_PARAM: [400, 'A required parameter is missing.'],
  M_MISSING_TOKEN: [401, 'This needs an access token.'],
  M_NOT_FOUND: [404, 'There is no such thing here.'],
  M_NOT_JSON: [400, 'The request body is not JSON.'],
  M_NOT_YET_UPLOADED: [504, 'The media has not been uploaded yet.'],
  M_PROFILE_TOO_LARGE: [400, 'The profile would be too large.'],
  M_RESOURCE_LIMIT_EXCEEDED: [403, 'The server has reached a limit of its resources.'],
  M_ROOM_IN_USE: [400, 'This room alias is taken.'],
  M_SERVER_NOT_TRUSTED: [400, 'That server is not trusted here.'],
  M_THREEPID_AUTH_FAILED: [401, 'The address could not be verified.'],
  M_THREEPID_DENIED: [403, 'This address is not allowed here.'],
  M_THREEPID_IN_USE: [400, 'This address belongs to an account already.'],
  M_THREEPID_MEDIUM_NOT_SUPPORTED: [400, 'Addresses of this kind are not supported.'],
  M_THREEPID_NOT_FOUND: [400, 'No account has this address.'],
  M_TOO_LARGE: [413, 'The request is too large.'],
  M_UNABLE_TO_AUTHORISE_JOIN: [400, 'This server cannot tell whether the user may join.'],
  M_UNABLE_TO_GRANT_JOIN: [400, 'This server cannot let the user join; another one of the room may.'],
  M_UNAUTHORIZED: [401, 'The request was not correctly authorised.'],
  M_UNKNOWN: [500, 'Something went wrong in the server.'],
  M_UNKNOWN_DEVICE: [400, 'The user has no such device.'],
  M_UNKNOWN_POS: [400, 'This position is not known any more. Start again without it.'],
  M_UNKNOWN_TOKEN: [401, 'The token is not known, or not valid any more.'],
  M_UNRECOGNIZED: [404, 'The server does not know this request.'],
  M_UNSUPPORTED_ROOM_VERSION: [400, 'This room version is not supported.'],
  M_URL_NOT_SET: [400, 'The application service has no URL.'],
  M_USER_DEACTIVATED: [403, 'This account has been deactivated.'],
  M_USER_IN_USE: [400, 'This user name is taken.'],
  M_USER_LIMIT_EXCEEDED: [403, 'The account has reached one of its limits.'],
  M_USER_LOCKED: [401, 'This account has been locked.'],
  M_USER_SUSPENDED: [403, 'This account has been suspended.'],
  M_WEAK_PASSWORD: [400, 'This password is too weak.'],
  M_WRONG_ROOM_KEYS_VERSION: [403, 'This is not the current version of the backup.'],
} as const satisfies Record<string, readonly [status: number, sentence: string]>;

/** An error code of the Matrix specification. */
export type Errcode = keyof typeof ERRORS;

export interface MatrixErrorOptions {
  /** Where the status is not the code's usual one. */
  readonly status?: number;
  /** More keys of the answer, beside `errcode` and `error`. */
  readonly extra?: Readonly<Record<string, unknown>>;
  /** Response headers, names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** What led to it; for the log only, never sent. */
  readonly cause?: unknown;
}

/** An error that is answered to the client as it is: `{ errcode, error, …extra }` with `status`. */
export class MatrixError extends Error {
  override readonly name = 'MatrixError';
  readonly errcode: Errcode;
  readonly status: number;
  readonly extra: Readonly<Record<string, unknown>> | undefined;
  readonly headers: Readonly<Record<string, string>> | undefined;

  /** @param message A sentence a person can act on; default the code's own. It is sent to the client. */
  constructor(errcode: Errcode, message?: string, options: MatrixErrorOptions = {}) {
    // What another server says is passed on with its code, which need not be in the table.
    const [status, sentence] = Object.hasOwn(ERRORS, errcode) ? ERRORS[errcode] : ERRORS.M_UNKNOWN;
    super(message ?? sentence, options.cause === undefined ? undefined : { cause: options.cause });
    this.errcode = errcode;
    this.status = options.status ?? status;
    this.extra = options.extra;
    this.headers = options.headers;
  }

  /** The answer's body. */
  toBody(): Record<string, unknown> {
    return { ...this.extra, errcode: this.errcode, error: this.message };
  }
}

/** The requester lacks permission. */
export function forbidden(message?: string): MatrixError {
  return new MatrixError('M_FORBIDDEN', message);
}

/** There is nothing of that name, or nothing the requester may know of. */
export function notFound(message?: string): MatrixError {
  return new MatrixError('M_NOT_FOUND', message);
}

/** A path or query parameter, or a value in the body, makes no sense. */
export function invalidParam(message: string): MatrixError {
  return new MatrixError('M_INVALID_PARAM', message);
}

/** A parameter that this request needs is missing. */
export function missingParam(name: string): MatrixError {
  return new MatrixError('M_MISSING_PARAM', `The parameter ${name} is missing.`);
}

/** The body is JSON, but not of the right shape. */
export function badJson(message: string): MatrixError {
  return new MatrixError('M_BAD_JSON', message);
}

/**
 * The access token is not known.
 * @param softLogout Whether the client may keep its data and log in again with the same device id.
 */
export function unknownToken(softLogout = false, message?: string): MatrixError {
  return new MatrixError('M_UNKNOWN_TOKEN', message, { extra: { soft_logout: softLogout } });
}

/** Too many requests: says in a header and in the body when to try again. */
export function limitExceeded(retryAfterMs: number): MatrixError {
  const waitMs = Math.max(1, Math.ceil(retryAfterMs));
  return new MatrixError('M_LIMIT_EXCEEDED', undefined, {
    extra: { retry_after_ms: waitMs },
    headers: { 'retry-after': String(Math.ceil(waitMs / 1000)) },
  });
}

/** For now nothing can be written (or the server is stopping); the client should try again. */
export function unavailable(message: string, cause?: unknown): MatrixError {
  return new MatrixError('M_UNKNOWN', message, { status: 503, headers: { 'retry-after': '5' }, cause });
}
