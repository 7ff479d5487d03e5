/** What any error means to the client: the one place where errors become answers. */
import { JsonSyntaxError, JsonTooDeepError } from '#protocol/json-limits.ts';
import { Conflict, NotWritten, OutcomeUnknown, TooLarge } from '#streams/event-log.ts';
import { MatrixError, unavailable } from './errors.ts';

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
