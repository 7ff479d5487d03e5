import type { RemoteDeviceLists } from '#src/encryption/remote-device-lists.ts';
import { toldSigningKeyJson } from '#src/encryption/told-keys.ts';
import type { EduHandler } from '../inbound/transactions.ts';
import { userOf } from './checks.ts';

/** `m.signing_key_update`. https://spec.matrix.org/v1.19/server-server-api/#end-to-end-encryption */
export function signingKeyUpdateHandler(lists: RemoteDeviceLists): EduHandler {
  return async (origin, { user_id: user, master_key: master, self_signing_key: selfSigning }) => {
    const userId = userOf(origin, user);
    await lists.changeSigningKeys({
      userId,
      masterJson: toldSigningKeyJson(master, userId, 'master'),
      selfSigningJson: toldSigningKeyJson(selfSigning, userId, 'self_signing'),
    });
  };
}
