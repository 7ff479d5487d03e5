/** What the operator asks over the socket of the data folder is on record too; who may, the file system has decided. */
import type { Actor, Audit } from '#src/audit/audit.ts';
import { decodedHeader, enterRecorded, groundsOf, targetOfPath } from '#src/audit/request-entry.ts';
import { MatrixError } from '#src/http/errors.ts';
import type { Entered, Entering, Guard } from '#src/http/guard.ts';
import type { Logger } from '#src/log/logger.ts';

/** In which the command line says who runs it, in UTF-8. It is believed: whoever can open the socket could write the log itself. */
export const OPERATOR_HEADER = 'x-stele-operator';

/** Who asks over the socket. */
export function operatorOf(header: (name: string) => string | undefined): Actor {
  return { kind: 'operator', name: decodedHeader(header(OPERATOR_HEADER)) ?? 'unknown' };
}

/** Who asks over the socket, as one word for records: `operator:alice`. */
export function nameOfOperator(header: (name: string) => string | undefined): string {
  return `operator:${decodedHeader(header(OPERATOR_HEADER)) ?? 'unknown'}`;
}

export interface OperatorGuardOptions {
  readonly audit: Audit;
  readonly logger: Logger;
}

export class OperatorGuard implements Guard {
  readonly #options: OperatorGuardOptions;

  constructor(options: OperatorGuardOptions) {
    this.#options = options;
  }

  admit(): Promise<void> {
    return Promise.reject(new MatrixError('M_UNRECOGNIZED'));
  }

  async enter(entering: Entering): Promise<Entered> {
    const { audit, request, described = {} } = entering;
    const { target = targetOfPath(request.params), ...about } = described;
    const { reason, caseId = about.caseId } = groundsOf(entering);
    const failed = await enterRecorded(this.#options, {
      ...about,
      actor: operatorOf(request.header),
      action: audit.action,
      target,
      reason,
      caseId,
    });
    return { requester: undefined, failed };
  }
}
