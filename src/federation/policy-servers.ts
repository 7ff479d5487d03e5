import { isJsonObject, ownValue } from '#protocol/json-object.ts';
import type { Pdu } from '#protocol/pdu.ts';
import { withSignature } from '#protocol/signing.ts';
import { forbidden, MatrixError } from '#src/http/errors.ts';
import { POLICY_KEY_ID, type PolicySigner } from '#src/rooms/policy.ts';
import type { FederationClient } from './client.ts';
import { FederationError } from './errors.ts';
import type { PolicyService } from './policy-service/policy-service.ts';

/** Whoever sends an event waits. */
const DEADLINE_MS = 10_000;
const MAX_ANSWER_BYTES = 64 * 1024;

export interface PolicyServersOptions {
  readonly client: FederationClient;
  /** Our own. */
  readonly serverName: string;
  /** Set where this server is a policy server itself. */
  readonly own: PolicyService | undefined;
}

/** Policy servers, as the rooms that have one see them. https://spec.matrix.org/v1.19/server-server-api/#post_matrixpolicyv1sign */
export class PolicyServers implements PolicySigner {
  readonly #options: PolicyServersOptions;

  constructor(options: PolicyServersOptions) {
    this.#options = options;
  }

  async sign(policyServer: string, pdu: Pdu): Promise<Pdu> {
    const isOwn = policyServer === this.#options.serverName;
    const signature = await (isOwn ? this.#signHere(pdu) : this.#signatureOf(policyServer, pdu));
    return { ...pdu, signatures: withSignature(pdu.signatures, policyServer, POLICY_KEY_ID, signature) } as Pdu;
  }

  /** As if this server had asked itself. */
  async #signHere(pdu: Pdu): Promise<string> {
    const { own, serverName } = this.#options;
    try {
      if (own === undefined) throw forbidden('The room names this server as its policy server, and it is none.');
      return await own.sign(serverName, pdu);
    } catch (error) {
      if (!(error instanceof MatrixError)) throw error;
      const { status, errcode, message: reason } = error;
      throw new FederationError('http', serverName, reason, { status, errcode, reason, cause: error });
    }
  }

  async #signatureOf(policyServer: string, pdu: Pdu): Promise<string> {
    const answer = await this.#options.client.request({
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
    return signature;
  }
}
