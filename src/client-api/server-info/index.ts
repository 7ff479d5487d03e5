import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { wellKnownPolicyServer } from './policy-server.ts';
import { wellKnownSupport } from './support.ts';

/** What the server says about itself to anybody. */
export const serverInfoEndpoints: readonly Endpoint<Context>[] = [wellKnownSupport, wellKnownPolicyServer];
