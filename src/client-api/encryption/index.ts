import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { postKeysClaim } from './claim-keys.ts';
import { keyBackupEndpoints } from './key-backup/index.ts';
import { getKeyChanges } from './key-changes.ts';
import { postKeysQuery } from './query-keys.ts';
import { putSendToDevice } from './send-to-device.ts';
import { postDeviceSigningUpload } from './upload-cross-signing-keys.ts';
import { postKeysUpload } from './upload-keys.ts';
import { postSignaturesUpload } from './upload-signatures.ts';

/** Keys for end-to-end encryption. */
export const encryptionEndpoints: readonly Endpoint<Context>[] = [
  postKeysUpload,
  postKeysQuery,
  postKeysClaim,
  getKeyChanges,
  putSendToDevice,
  postDeviceSigningUpload,
  postSignaturesUpload,
  ...keyBackupEndpoints,
];
