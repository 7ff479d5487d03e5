import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { putTyping } from './put-typing.ts';

/** Who is typing. */
export const typingEndpoints: readonly Endpoint<Context>[] = [putTyping];
