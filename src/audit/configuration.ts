/**
 * What the server was started with, where it is not what it was started with before: its configuration and its keys. So the
 * configuration in force at any time is that of the last entry before it.
 */
import { randomBytes, scrypt } from 'node:crypto';
import { isDeepStrictEqual, promisify } from 'node:util';
import { auditPage, lastAuditEntry } from '#projections/audit/queries.ts';
import { explainConfig, secretSettings } from '#src/config/explain.ts';
import type { Config } from '#src/config/schema.ts';
import type { Context } from '#src/context.ts';

type Parts = Pick<Context, 'audit' | 'reader'>;

/** Stands for a secret: it shows that the secret changed, and helps little to guess it. */
interface Fingerprint {
  readonly salt: string;
  readonly scrypt: string;
}

/** `after` of an entry: every setting that is in effect, and which of them are not as they were. */
interface RecordedConfiguration {
  /** By key, as `stele config explain` names them; secrets as `(secret)`. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly secrets: Readonly<Record<string, Fingerprint>>;
  /** Keys of the settings that changed; empty for the first start. */
  readonly changed: readonly string[];
}

const ACTOR = { kind: 'server', task: 'start' } as const;
const SALT_BYTES = 16;
const FINGERPRINT_BYTES = 16;
const deriveKey = promisify(scrypt);

/** Puts the configuration on record if it is another than the last one on record. */
export async function recordConfiguration({ audit, reader }: Parts, config: Config): Promise<void> {
  const last = lastAuditEntry(reader, 'configuration.change')?.after as RecordedConfiguration | undefined;
  // As it would be read back.
  const settings = JSON.parse(
    JSON.stringify(
      Object.fromEntries(explainConfig({ config, sources: new Map() }).map(({ key, value }) => [key, value])),
    ),
  ) as Record<string, unknown>;
  const secrets: Record<string, Fingerprint> = {};
  for (const [key, value] of secretSettings(config)) {
    secrets[key] = await fingerprintOf(value, last?.secrets[key]?.salt ?? randomBytes(SALT_BYTES).toString('base64'));
  }
  const changed = last === undefined ? [] : changedKeys(last, { settings, secrets });
  if (last !== undefined && changed.length === 0) return;
  const before = last && Object.fromEntries(changed.map((key) => [key, last.settings[key] ?? null]));
  await audit.record({
    actor: ACTOR,
    action: 'configuration.change',
    target: { kind: 'configuration', id: 'effective' },
    before,
    after: { settings, secrets, changed } satisfies RecordedConfiguration,
  });
}

/** What a key is for: `matrix` signs events and requests, `log` the checkpoints of the log. */
export type KeyUse = 'matrix' | 'log';

/** Puts a key on record that the server was started with, if it is another than the last one on record for its use. */
export async function recordKeyInUse(
  { audit, reader }: Parts,
  use: KeyUse,
  key: { readonly key_id: string; readonly public_key: string },
): Promise<void> {
  const query = { action: 'key.in_use', target: use };
  const before = auditPage(reader, query, { limit: 1, isReversed: true }).entries[0]?.after;
  if (isDeepStrictEqual(before, key)) return;
  await audit.record({ actor: ACTOR, action: 'key.in_use', target: { kind: 'key', id: use }, before, after: key });
}

function changedKeys(last: RecordedConfiguration, now: Pick<RecordedConfiguration, 'settings' | 'secrets'>): string[] {
  const keys = new Set([...Object.keys(last.settings), ...Object.keys(now.settings)]);
  return [...keys].filter(
    (key) =>
      !isDeepStrictEqual(last.settings[key], now.settings[key]) ||
      last.secrets[key]?.scrypt !== now.secrets[key]?.scrypt,
  );
}

async function fingerprintOf(value: unknown, salt: string): Promise<Fingerprint> {
  const derived = (await deriveKey(JSON.stringify(value), Buffer.from(salt, 'base64'), FINGERPRINT_BYTES)) as Buffer;
  return { salt, scrypt: derived.toString('base64') };
}
