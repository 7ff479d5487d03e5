import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import type { Logger } from '#src/log/logger.ts';
import { RawAnswer } from './answer.ts';
import type { HandlerResult } from './endpoint.ts';
import { failureOf } from './failures.ts';

/** Without a charset: JSON has none, and some clients compare the whole header. */
const JSON_TYPE = 'application/json';

/** On every answer: https://spec.matrix.org/v1.19/client-server-api/#web-browser-clients */
export const CORS_HEADERS = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'GET, POST, PUT, DELETE, OPTIONS',
  'access-control-allow-headers': 'X-Requested-With, Content-Type, Authorization, X-Stele-Reason, X-Stele-Case',
} as const;

/** Headers of a JSON answer, names and values by turns, up to where the length goes. */
const JSON_HEAD: readonly string[] = [
  ...Object.entries(CORS_HEADERS).flat(),
  'content-type',
  JSON_TYPE,
  'content-length',
];

/** Sends what a handler gave. Does nothing when the client is not there any more. */
export function send(reply: FastifyReply, result: HandlerResult): void {
  if (!(result instanceof RawAnswer)) {
    sendJson(reply, 200, JSON.stringify(result));
    return;
  }
  const { body } = result;
  if (reply.raw.destroyed) {
    if (body instanceof Readable) body.destroy();
    return;
  }
  // Fastify would add a charset to the type of a text.
  const payload = typeof body === 'string' ? Buffer.from(body, 'utf8') : body;
  reply.code(result.status).headers(CORS_HEADERS).headers(result.headers).send(payload);
}

/** Sends an error as Matrix clients expect it, and tells the operator if it is a fault of the server. */
export function sendFailure(reply: FastifyReply, error: unknown, log?: Logger): void {
  const { answer, isFault } = failureOf(error);
  // When the client went away, what was stopped because of that is no fault.
  if (reply.raw.destroyed) return;
  if (isFault) log?.error({ err: error }, 'a request failed');
  if (reply.raw.headersSent) {
    // Half an answer is out already; a broken connection tells the client that the rest is missing.
    reply.raw.destroy();
    return;
  }
  // Where a body was not read to its end, Fastify asks for the connection to be closed.
  const connection = reply.getHeader('connection') === undefined ? undefined : { connection: 'close' };
  sendJson(reply, answer.status, JSON.stringify(answer.toBody()), { ...answer.headers, ...connection });
}

/** Most answers go this way, so it writes to the response itself: what Fastify would look at is known here. */
function sendJson(reply: FastifyReply, status: number, text: string, headers?: Readonly<Record<string, string>>): void {
  const { raw } = reply;
  if (raw.destroyed) return;
  reply.hijack();
  const head = [...JSON_HEAD, String(Buffer.byteLength(text))];
  if (headers !== undefined) head.push(...Object.entries(headers).flat());
  raw.writeHead(status, head);
  raw.end(text);
}
