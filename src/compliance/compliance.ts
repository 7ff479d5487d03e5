/** What of the server decides what may go, keeps what must stay, and destroys what is due: put together. */
import type { Reader } from '#projections/engine/reader.ts';
import type { BuildAhead } from '#projections/engine/renewal.ts';
import type { Audit } from '#src/audit/audit.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import type { Config } from '#src/config/schema.ts';
import type { Logger } from '#src/log/logger.ts';
import type { Rooms } from '#src/rooms/rooms.ts';
import type { EventLog } from '#streams/event-log.ts';
import { askPeers } from './ask-peers.ts';
import type { LogProof } from './certificate.ts';
import { Destruction, type DestructionOptions } from './destruction/destruction.ts';
import { Erasures } from './erasure.ts';
import { Holds } from './holds.ts';
import { Purges } from './purge.ts';
import { Retention } from './retention.ts';
import { policyOf } from './retention-policy.ts';
import { type CachedFiles, UnusedMedia } from './unused-media.ts';

export interface ComplianceOptions {
  readonly config: Config;
  readonly serverName: string;
  readonly log: EventLog;
  readonly reader: Reader;
  readonly engine: DestructionOptions['engine'];
  readonly commands: StreamCommands;
  readonly newRecordId: () => Uint8Array;
  readonly rooms: Rooms;
  readonly audit: Pick<Audit, 'record'>;
  readonly search: DestructionOptions['search'];
  readonly removeFile: DestructionOptions['removeFile'];
  readonly cachedFiles: CachedFiles;
  readonly dropCaches: () => void;
  readonly dropTexts: () => void;
  /** Removes what was copied out of the log of a user who is erased: exports that wait to be fetched. */
  readonly removeCopies: (userId: string) => Promise<void>;
  readonly deactivate: (userId: string) => Promise<void>;
  readonly buildAhead: BuildAhead | undefined;
  readonly proof: LogProof | undefined;
  readonly clock: () => number;
  readonly logger: Logger;
}

export class Compliance {
  readonly holds: Holds;
  readonly destruction: Destruction;
  readonly retention: Retention;
  readonly erasures: Erasures;
  readonly purges: Purges;
  readonly #logger: Logger;

  constructor(options: ComplianceOptions) {
    const { config, rooms, audit } = options;
    const policy = policyOf(config);
    this.#logger = options.logger;
    this.holds = new Holds({ ...options, fourEyes: config.compliance.hold_four_eyes });
    this.destruction = new Destruction({
      ...options,
      releaseMedia: (keys, signal) => unusedMedia.release(keys, signal),
    });
    const destroying = { ...options, holds: this.holds, destruction: this.destruction, policy };
    const unusedMedia = new UnusedMedia({ ...destroying, unsentLifetimeMs: config.media.unsent_lifetime });
    const shared = { ...destroying, unusedMedia };
    this.retention = new Retention({
      ...shared,
      intervalMs: config.retention.interval,
      onPolicy: async (before, after) => {
        const target = { kind: 'policy', id: 'retention' } as const;
        await audit.record({
          actor: { kind: 'server', task: 'start' },
          action: 'policy.change',
          target,
          before,
          after,
        });
      },
      onRun: async () => {
        await audit.record({ actor: { kind: 'server', task: 'retention' }, action: 'retention.run' });
      },
    });
    this.erasures = new Erasures({
      ...shared,
      delayMs: config.compliance.erasure_delay,
      askPeers: (userId) => askPeers(options, userId),
      onRun: async ({ id, userId, caseId }) => {
        await audit.record({
          actor: { kind: 'server', task: 'erasure' },
          action: 'erasure.run',
          target: { kind: 'erasure', id },
          after: { user_id: userId },
          ...(caseId !== null && { caseId }),
        });
      },
    });
    this.purges = new Purges({ ...shared, alone: (room, work) => rooms.alone(room, work) });
  }

  /** Goes on with what was under way when the server ended, and begins to follow the schedule. */
  start(): void {
    this.#start().catch((error: unknown) => {
      this.#logger.error({ err: error }, 'retention and erasure could not be started; they are at the next start');
    });
  }

  async #start(): Promise<void> {
    await this.destruction.resume();
    await this.retention.start();
    this.erasures.start();
  }

  async close(): Promise<void> {
    // Together: each ends what it does for the others.
    await Promise.all([this.destruction.close(), this.retention.close(), this.erasures.close()]);
  }
}
