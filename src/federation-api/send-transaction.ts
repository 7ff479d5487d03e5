import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { largeTransaction } from '#src/federation/inbound/transaction-body.ts';
import { endpoint } from '#src/http/endpoint.ts';

/** 50 events of the largest size, and 100 EDUs. */
const MAX_TRANSACTION_BYTES = 16 * 1024 * 1024;

/**
 * `PUT /_matrix/federation/v1/send/{txnId}`: events and EDUs of another server. What is answered is durable.
 * https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1sendtxnid
 */
export const sendTransaction = endpoint({
  method: 'PUT',
  path: '/_matrix/federation/v1/send/{txnId}',
  auth: 'server',
  rateLimit: 'federation',
  body: z.object({ pdus: z.array(z.unknown()), edus: z.array(z.unknown()).default([]) }),
  bodyLimitBytes: MAX_TRANSACTION_BYTES,
  largeBody: largeTransaction,
  handler: ({ params, body, requester }, context: Pick<Context, 'transactions'>) =>
    context.transactions.receive(requester.origin, params.txnId, body.pdus, body.edus),
});
