import type { Transaction } from '#projections/rooms/pdu-record.ts';
import type { Requester } from '#src/http/endpoint.ts';

/** The transaction of a request: its id counts for one device. Source: client-server API, "Transaction identifiers". */
export function sentBy(requester: Requester, txnId: string): Transaction {
  return { deviceId: requester.deviceId ?? requester.tokenId, txnId };
}
