import { FileKeyring } from '../keyring/file-keyring.ts';
import { MasterKeyProblem, readMasterKey } from '../keyring/master-key.ts';
import type { FileSystem } from './files.ts';
import { logPaths } from './paths.ts';

/** Opens a log's keyring for reading. Throws {@link MasterKeyProblem} or `Damaged`. */
export async function openKeyringReadOnly(
  files: FileSystem,
  logFolder: string,
  masterKeyFile = logPaths(logFolder).masterKey,
): Promise<FileKeyring> {
  const masterKey = await readMasterKey(masterKeyFile);
  if (masterKey === undefined) {
    throw new MasterKeyProblem(`the master key ${masterKeyFile} is missing; the records cannot be opened without it`);
  }
  return FileKeyring.open({ folder: logPaths(logFolder).keyring, files, masterKey, readOnly: true });
}
