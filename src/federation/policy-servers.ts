import { isJsonObject, ownValue } from '#protocol/json-object.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import { POLICY_KEY_ID, type PolicySigner } from '#src/rooms/policy.ts';
import type { FederationClient } from './client.ts';
import { FederationError } from './errors.ts';

/** Whoever sends an event waits. */
const DEADLINE_MS = 10_000;
const MAX_ANSWER_BYTES = 64 * 1024;

/** Policy servers, as the rooms that have one see them. https://spec.matrix.org/v1.19/server-server-api/#post_matrixpolicyv1sign */
export class PolicyServers implements PolicySigner {
  readonly #client: FederationClient;

  constructor(client: FederationClient) {
    this.#client = client;
  }

  async sign(policyServer: string, pdu: Pdu): Promise<Pdu> {
    const answer = await this.#client.request({
      destination: policyServer,
      method: 'POST',
      path: '/_matrix/policy/v1/sign',
      content: pdu,
      deadlineMs: DEADLINE_MS,
      maxAnswerBytes: MAX_ANSWER_BYTES,
    });
    const given = ownValue(answer, policyServer);
    const signature = isJsonObject(given) ? ownValue(given, POLICY_KEY_ID) : undefined;
    if (typeof signature !== 'string') {
      throw new FederationError('bad_answer', policyServer, 'its answer has no signature of a policy server');
    }
    const signatures = (pdu.signatures ?? {}) as JsonObject;
    const own = ownValue(signatures, policyServer);
    return {
      ...pdu,
      signatures: { ...signatures, [policyServer]: { ...(isJsonObject(own) ? own : {}), [POLICY_KEY_ID]: signature } },
    } as Pdu;
  }
}
