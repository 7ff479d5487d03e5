import path from 'node:path';

/** Where the parts of a log lie in its folder. */
export function logPaths(folder: string) {
  return {
    segments: path.join(folder, 'segments'),
    keyring: path.join(folder, 'keyring'),
    /** See keyring/erased-list.ts. */
    erased: path.join(folder, 'erased.list'),
    masterKey: path.join(folder, 'master.key'),
    lock: path.join(folder, 'log.lock'),
  };
}
