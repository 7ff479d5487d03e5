import type { Endpoint } from '#src/http/endpoint.ts';
import { getLock } from './get-lock.ts';
import { getSuspend } from './get-suspend.ts';
import { putLock } from './put-lock.ts';
import { putSuspend } from './put-suspend.ts';
import type { AdminContext } from './target-user.ts';
import { whois } from './whois.ts';

/** What the specification gives server administrators. */
export const adminEndpoints: readonly Endpoint<AdminContext>[] = [whois, getSuspend, putSuspend, getLock, putLock];
