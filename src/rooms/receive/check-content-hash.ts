import { hasValidContentHash } from '#protocol/hashing.ts';
import { redact } from '#protocol/redaction.ts';
import type { Receipt } from './types.ts';

/**
 * Step 3: the content is what was signed. If not, the event counts as if it were redacted: never an end of the checks.
 * Source: server-server API, "Checks performed on receipt of a PDU", 3.
 */
export function checkContentHash(receipt: Receipt): undefined {
  const { pdu, room, texts } = receipt;
  if (!hasValidContentHash(pdu, room.rules, texts)) receipt.pdu = redact(pdu, room.rules);
}
