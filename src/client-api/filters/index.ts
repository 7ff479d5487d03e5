import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { getFilter } from './get-filter.ts';
import { postFilter } from './post-filter.ts';

/** Filters that `/sync` can name. */
export const filterEndpoints: readonly Endpoint<Context>[] = [postFilter, getFilter];
