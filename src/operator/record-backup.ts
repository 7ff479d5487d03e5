import { z } from 'zod';
import {
  BACKUP_DRILLED,
  BACKUP_MADE,
  BACKUP_PRUNED,
  BACKUPS_STREAM,
  type BackupRecord,
  backupRecord,
} from '#projections/backups/records.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { operatorOf } from './operator-guard.ts';

/** Longest text of a field, in characters. */
const MAX_TEXT = 100_000;
const generation = z.string().max(64);
const count = z.int().min(0);
const text = z.string().max(MAX_TEXT);
const list = z.array(text).max(1000);

const bodySchema = z.object({
  record: z.discriminatedUnion('kind', [
    z.object({
      kind: z.literal(BACKUP_MADE),
      fields: z.object({ generation, records: count, checkpoint: text, copiedBytes: count, hasKeyring: z.boolean() }),
    }),
    z.object({
      kind: z.literal(BACKUP_PRUNED),
      fields: z.object({ removed: list, kept: z.array(z.object({ generation, reason: text })).max(1000) }),
    }),
    z.object({
      kind: z.literal(BACKUP_DRILLED),
      fields: z.object({
        generation,
        passed: z.boolean(),
        records: count,
        firstVerifiedCheckpoint: text.nullable(),
        seconds: z.number().min(0),
        findings: list,
      }),
    }),
  ]),
});

const ACTIONS = {
  [BACKUP_MADE]: 'backup.make',
  [BACKUP_PRUNED]: 'backup.make',
  [BACKUP_DRILLED]: 'backup.drill',
} as const;

/**
 * `POST /_stele/operator/backups/record` on the operator's socket: puts on record what `stele backup`, `stele backup prune` or
 * `stele drill` did. It answers once that is durable.
 */
export const recordBackup = endpoint({
  method: 'POST',
  path: '/_stele/operator/backups/record',
  auth: 'none',
  rateLimit: 'none',
  body: bodySchema,
  handler: async ({ body: { record }, header }, context: Pick<Context, 'audit' | 'commands' | 'newRecordId'>) => {
    const { audit, commands, newRecordId } = context;
    const id = record.kind === BACKUP_PRUNED ? record.fields.removed.join(' ') : record.fields.generation;
    await audit.record({
      actor: operatorOf(header),
      action: ACTIONS[record.kind],
      target: { kind: 'backup', id },
      after: record,
    });
    const { position } = await commands.run(BACKUPS_STREAM, () => ({
      records: [backupRecord(newRecordId(), record as BackupRecord)],
      result: undefined,
    }));
    return { position };
  },
});
