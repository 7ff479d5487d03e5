/**
 * The records of what other servers say of their users' devices. They are in a few streams for all users of other servers, so
 * that no name of a stream says whose devices are known here. Each has one section, a MessagePack map of the fields below.
 */
import { hash } from 'node:crypto';
import type { LogRecord, RecordDraft } from '#streams/event-log.ts';
import { packedRecord, unpackSection } from './packed-record.ts';

/** How many streams there are: changes of one stream wait for each other. */
const STREAMS = 64;

/** A device of a user of another server. */
export interface RemoteDevice {
  readonly deviceId: string;
  /** JSON text of its keys; null if it has none. */
  readonly keysJson: string | null;
  /** What its owner calls it, where that is told. */
  readonly displayName: string | null;
}

/** The fields of each kind. */
export interface RemoteDeviceRecords {
  /** The whole list as the user's server gave it. */
  'remote_devices.listed': {
    readonly userId: string;
    /** This server: the list is kept for as long as it shares a room with the user. */
    readonly keptBy: string;
    readonly streamId: number;
    readonly devices: readonly RemoteDevice[];
    readonly masterJson: string | null;
    readonly selfSigningJson: string | null;
  };
  /** One device is new, another, or gone. */
  'remote_devices.changed': {
    readonly userId: string;
    readonly streamId: number;
    readonly device: RemoteDevice;
    readonly isDeleted: boolean;
  };
  /** Null for what stays as it is. */
  'remote_devices.signing_keys_changed': {
    readonly userId: string;
    readonly masterJson: string | null;
    readonly selfSigningJson: string | null;
  };
  /** Something changed and it is not known what: the list has to be asked for anew. */
  'remote_devices.outdated': {
    readonly userId: string;
    readonly keptBy: string;
    /** Whether clients are told now, because the list cannot be had soon; else they are told when it is here. */
    readonly isTold: boolean;
  };
}

export type RemoteDeviceRecordKind = keyof RemoteDeviceRecords;

/** A record with its fields. */
export type RemoteDeviceRecord = {
  [Kind in RemoteDeviceRecordKind]: { readonly kind: Kind; readonly fields: RemoteDeviceRecords[Kind] };
}[RemoteDeviceRecordKind];

const KINDS: Readonly<Record<RemoteDeviceRecordKind, true>> = {
  'remote_devices.listed': true,
  'remote_devices.changed': true,
  'remote_devices.signing_keys_changed': true,
  'remote_devices.outdated': true,
};

/** The stream with the records of a user of another server. */
export function remoteDevicesStream(userId: string): string {
  return `server-remote-devices-${shardOf(userId, STREAMS)}`;
}

/** One of so many streams, the same for the same name: two hexadecimal digits. */
export function shardOf(name: string, streams: number): string {
  const [byte = 0] = hash('sha256', name, 'buffer');
  return (byte % streams).toString(16).padStart(2, '0');
}

/** A record to append. `id` is 16 random bytes. */
export function remoteDeviceRecord<Kind extends RemoteDeviceRecordKind>(
  id: Uint8Array,
  kind: Kind,
  fields: RemoteDeviceRecords[Kind],
): RecordDraft {
  return packedRecord(id, kind, [fields]);
}

/** What a record says; undefined for other kinds, and where its key was destroyed. */
export function readRemoteDeviceRecord(record: LogRecord): RemoteDeviceRecord | undefined {
  if (!Object.hasOwn(KINDS, record.kind)) return undefined;
  const kind = record.kind as RemoteDeviceRecordKind;
  const fields = unpackSection(record, kind, 0);
  return fields === undefined ? undefined : ({ kind, fields } as RemoteDeviceRecord);
}
