import type { Device } from '#src/accounts/devices.ts';

/** A device as clients get it. */
export function deviceAnswer({ deviceId, displayName, lastSeenIp, lastSeenAtMs }: Device): object {
  return {
    device_id: deviceId,
    ...(displayName !== undefined && { display_name: displayName }),
    ...(lastSeenIp !== undefined && { last_seen_ip: lastSeenIp }),
    last_seen_ts: lastSeenAtMs,
  };
}
