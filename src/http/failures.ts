/** What any error means to the client: the one place where errors become answers. */
import { JsonSyntaxError, JsonTooDeepError } from '#protocol/json-limits.ts';
import { isServerName } from '#protocol/server-name.ts';
import { FederationError, type FederationErrorKind } from '#src/federation/errors.ts';
import { Conflict, NotWritten, OutcomeUnknown, TooLarge } from '#streams/event-log.ts';
import { type Errcode, limitExceeded, MatrixError, unavailable } from './errors.ts';

/** The answer to an error, and whether it is a fault of the server that its operator should hear of. */
export interface Failure {
  readonly answer: MatrixError;
  readonly isFault: boolean;
}

/** Fastify's own errors, by code. The rest of those with a 4xx status are the client's fault too. */
const FASTIFY_ERRORS: Readonly<Record<string, () => MatrixError>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: () => new MatrixError('M_TOO_LARGE', 'The request body is too large.'),
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: () =>
    new MatrixError('M_NOT_JSON', 'The request body is not as long as its Content-Length says.'),
  FST_ERR_BAD_URL: () => new MatrixError('M_INVALID_PARAM', 'The path is not percent-encoded as it should be.'),
  FST_ERR_MAX_PARAM_LENGTH: () => new MatrixError('M_INVALID_PARAM', 'A part of the path is too long.'),
};

/** Finds the answer to whatever a handler, the log or the framework threw. */
export function failureOf(error: unknown): Failure {
  if (error instanceof MatrixError) return { answer: error, isFault: false };
  if (error instanceof JsonSyntaxError) {
    return { answer: new MatrixError('M_NOT_JSON', undefined, { cause: error }), isFault: false };
  }
  if (error instanceof JsonTooDeepError)
    return { answer: new MatrixError('M_BAD_JSON', error.message), isFault: false };
  if (error instanceof NotWritten) {
    // The operator hears of it once (ShownLog), not with every request; the reason names files, which is not for clients.
    const sentence =
      'The server cannot store anything at the moment: its disk is full, failing or too slow. Please try again later.';
    return { answer: unavailable(sentence, error), isFault: false };
  }
  if (error instanceof OutcomeUnknown) {
    return {
      answer: unavailable('The server cannot tell whether this was stored. Please send the same request again.', error),
      isFault: true,
    };
  }
  if (error instanceof Conflict) {
    return {
      answer: unavailable('Somebody else changed the same thing at the same time. Please try again.', error),
      isFault: true,
    };
  }
  if (error instanceof TooLarge) {
    return { answer: new MatrixError('M_TOO_LARGE', 'This is too large to be stored at once.'), isFault: false };
  }
  if (error instanceof FederationError) return { answer: ofOtherServer(error), isFault: false };
  return ofFramework(error) ?? { answer: new MatrixError('M_UNKNOWN', undefined, { cause: error }), isFault: true };
}

function ofFramework(error: unknown): Failure | undefined {
  if (!(error instanceof Error)) return undefined;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const known = Object.hasOwn(FASTIFY_ERRORS, code) ? FASTIFY_ERRORS[code] : undefined;
  if (known !== undefined) return { answer: known(), isFault: false };
  const status = 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : 500;
  if (!code.startsWith('FST_') && code !== 'ECONNRESET') return undefined;
  if (status < 400 || status >= 500) return undefined;
  return { answer: new MatrixError('M_UNKNOWN', 'The request could not be read.', { status }), isFault: false };
}

/** What another server says of its own doings, and not of what a user of this one may do: above all clients would log out. */
const KEPT_BACK: ReadonlySet<string> = new Set<Errcode>([
  'M_GUEST_ACCESS_FORBIDDEN',
  'M_LIMIT_EXCEEDED',
  'M_MISSING_PARAM',
  'M_MISSING_TOKEN',
  'M_NOT_JSON',
  'M_UNAUTHORIZED',
  'M_UNKNOWN_TOKEN',
  'M_UNRECOGNIZED',
  'M_USER_DEACTIVATED',
  'M_USER_LOCKED',
  'M_USER_SUSPENDED',
]);

const OTHER_SERVER: Readonly<Record<FederationErrorKind, Errcode>> = {
  unreachable: 'M_CONNECTION_FAILED',
  timed_out: 'M_CONNECTION_TIMEOUT',
  refused: 'M_CONNECTION_FAILED',
  busy: 'M_CONNECTION_FAILED',
  backing_off: 'M_CONNECTION_FAILED',
  bad_answer: 'M_CONNECTION_FAILED',
  http: 'M_CONNECTION_FAILED',
};

/** A request that needed another server, which did not answer as hoped. */
function ofOtherServer(error: FederationError): MatrixError {
  const { kind, destination, status, errcode, reason } = error;
  if (kind === 'http' && status === 429) return limitExceeded(Math.max(0, (error.retryAtMs ?? 0) - Date.now()));
  const isRefusal = kind === 'http' && status !== undefined && status >= 400 && status < 500;
  if (isRefusal && errcode !== undefined && !KEPT_BACK.has(errcode)) {
    // It may have a code that only that server knows.
    return new MatrixError(errcode as Errcode, reason ?? `${destination} said no.`, {
      status,
      ...(error.roomVersion !== undefined && { extra: { room_version: error.roomVersion } }),
      cause: error,
    });
  }
  if (!isServerName(destination)) {
    return new MatrixError('M_INVALID_PARAM', 'A server is named that cannot be one.', { cause: error });
  }
  const message = kind === 'timed_out' ? 'took too long to answer' : 'could not be asked';
  return new MatrixError(OTHER_SERVER[kind], `The server ${destination} ${message}.`, { cause: error });
}
