import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import type { Logger } from '#src/log/logger.ts';
import { RawAnswer } from './answer.ts';
import type { HandlerResult } from './endpoint.ts';
import { failureOf } from './failures.ts';

const JSON_TYPE = 'application/json; charset=utf-8';

/** Sends what a handler gave. Does nothing when the client is not there any more. */
export function send(reply: FastifyReply, result: HandlerResult): void {
  if (!(result instanceof RawAnswer)) {
    if (reply.raw.destroyed) return;
    reply.header('content-type', JSON_TYPE).send(JSON.stringify(result));
    return;
  }
  const { body } = result;
  if (reply.raw.destroyed) {
    if (body instanceof Readable) body.destroy();
    return;
  }
  reply.code(result.status).headers(result.headers).send(body);
}

/** Sends an error as Matrix clients expect it, and tells the operator if it is a fault of the server. */
export function sendFailure(reply: FastifyReply, error: unknown, log?: Logger): void {
  const { answer, isFault } = failureOf(error);
  // When the client went away, what was stopped because of that is no fault.
  if (reply.raw.destroyed) return;
  if (isFault) log?.error({ err: error }, 'a request failed');
  if (answer.headers !== undefined) reply.headers(answer.headers);
  reply.code(answer.status).header('content-type', JSON_TYPE).send(JSON.stringify(answer.toBody()));
}
