/** What is where in the data folder. */
import path from 'node:path';
import type { Config } from './config/schema.ts';

/** Folders and files under the data folder. */
export function dataPaths(dataDir: string) {
  return {
    log: path.join(dataDir, 'log'),
    transparency: path.join(dataDir, 'transparency'),
    logSigningKey: path.join(dataDir, 'log-signing.key'),
    policySigningKey: path.join(dataDir, 'policy-signing.key'),
    projections: path.join(dataDir, 'projections', 'core'),
    search: path.join(dataDir, 'projections', 'search'),
    media: path.join(dataDir, 'media'),
    slidingSync: path.join(dataDir, 'sliding-sync'),
    auditStreams: path.join(dataDir, 'audit-streams'),
    thumbnails: path.join(dataDir, 'thumbnails'),
    exports: path.join(dataDir, 'exports'),
    remoteMedia: path.join(dataDir, 'remote-media'),
  };
}

/** Where the key of the policy server is, if this server is one. */
export function policyKeyFileOf({
  policy_server: { enabled, key_file: file },
  data_dir: dataDir,
}: Config): string | undefined {
  return enabled ? (file ?? dataPaths(dataDir).policySigningKey) : undefined;
}
