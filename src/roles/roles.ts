import type { Requester } from '#src/http/endpoint.ts';
import { ADMINISTRATOR, type Standing } from './standing.ts';

/** Who has which role. */
export class Roles {
  /** The roles in which somebody can act now. A scoped token has the one that it was made for. */
  standings(requester: Requester): readonly Standing[] {
    if (requester.standing !== undefined) return [requester.standing];
    return requester.isAdmin ? [ADMINISTRATOR] : [];
  }
}
