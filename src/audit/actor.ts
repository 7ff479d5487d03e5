import type { Actor } from '#projections/audit/records.ts';
import type { Requester } from '#src/http/endpoint.ts';
import type { Standing } from '#src/roles/standing.ts';

/** Who makes a request, for the audit log. @param standing default the requester's own. */
export function actorOf(requester: Requester | undefined, standing: Standing | undefined = requester?.standing): Actor {
  if (requester === undefined) return { kind: 'stranger' };
  const { userId, deviceId, tokenId, lentTo } = requester;
  return {
    kind: 'user',
    ...(lentTo === undefined ? { userId } : { userId: lentTo.userId, actingAs: userId }),
    ...(deviceId !== undefined && { deviceId }),
    tokenId,
    ...(standing !== undefined && { role: standing.role }),
    ...(standing?.grantId !== undefined && { grantId: standing.grantId }),
  };
}
