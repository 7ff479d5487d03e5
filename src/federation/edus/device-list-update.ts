import type { RemoteDeviceLists } from '#src/encryption/remote-device-lists.ts';
import { isDeviceId, isStreamId, toldDeviceKeysJson, toldDeviceName } from '#src/encryption/told-keys.ts';
import type { EduHandler } from '../inbound/transactions.ts';
import { EduRefused, userOf } from './checks.ts';

/** Changes that one may follow. */
const MAX_PREVIOUS_IDS = 20;

/** `m.device_list_update`. https://spec.matrix.org/v1.19/server-server-api/#device-management */
export function deviceListUpdateHandler(lists: RemoteDeviceLists): EduHandler {
  return async (origin, content) => {
    const userId = userOf(origin, content.user_id);
    const { device_id: deviceId, stream_id: streamId, prev_id: previous = [], deleted } = content;
    if (!isDeviceId(deviceId) || !isStreamId(streamId)) throw new EduRefused('it names no device, or no change');
    const previousIds: readonly unknown[] = Array.isArray(previous) ? previous : [];
    await lists.change({
      userId,
      streamId,
      // With more, or others, the whole list is asked for.
      previousIds: previousIds.length > MAX_PREVIOUS_IDS || !previousIds.every(isStreamId) ? [] : previousIds,
      device: {
        deviceId,
        keysJson: toldDeviceKeysJson(content.keys, userId, deviceId),
        displayName: toldDeviceName(content.device_display_name),
      },
      isDeleted: deleted === true,
    });
  };
}
