import type { DeviceName } from '#src/encryption/upload-keys.ts';
import type { Requester } from '#src/http/endpoint.ts';
import { MatrixError } from '#src/http/errors.ts';

/** The device that calls. @throws {MatrixError} `M_UNKNOWN_DEVICE` if the token is of none. */
export function requireDevice({ userId, deviceId }: Requester): DeviceName {
  if (deviceId === undefined) throw new MatrixError('M_UNKNOWN_DEVICE', 'Only a device can do that.');
  return { userId, deviceId };
}
