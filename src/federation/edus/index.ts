import type { Context } from '#src/context.ts';
import type { RemoteDeviceLists } from '#src/encryption/remote-device-lists.ts';
import type { EduHandler } from '../inbound/transactions.ts';
import { deviceListUpdateHandler } from './device-list-update.ts';
import { directToDeviceHandler } from './direct-to-device.ts';
import type { RemotePresences } from './presence.ts';
import { receiptHandler } from './receipt.ts';
import { signingKeyUpdateHandler } from './signing-key-update.ts';
import { typingHandler } from './typing.ts';

/** What the handlers of EDUs work with. */
export type EduContext = Pick<Context, 'reader' | 'serverName' | 'typing' | 'commands' | 'newRecordId' | 'clock'> & {
  readonly deviceLists: RemoteDeviceLists;
  readonly presences: RemotePresences;
};

/** What is done with the EDUs of other servers, by type. https://spec.matrix.org/v1.19/server-server-api/#edus */
export function eduHandlers(context: EduContext): ReadonlyMap<string, EduHandler> {
  return new Map<string, EduHandler>([
    ['m.typing', typingHandler(context)],
    ['m.presence', context.presences.handler],
    ['m.receipt', receiptHandler(context)],
    ['m.direct_to_device', directToDeviceHandler(context)],
    ['m.device_list_update', deviceListUpdateHandler(context.deviceLists)],
    ['m.signing_key_update', signingKeyUpdateHandler(context.deviceLists)],
  ]);
}
