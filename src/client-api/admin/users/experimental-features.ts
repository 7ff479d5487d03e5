/**
 * Features that Synapse turns on for single users. Here they are as they are for everybody, and nothing can be turned on or off for one.
 * https://element-hq.github.io/synapse/latest/admin_api/experimental_features.html
 */
import { z } from 'zod';
import { endpoint } from '#src/http/endpoint.ts';
import { invalidParam } from '#src/http/errors.ts';
import { type AdminContext, targetUser } from '../target-user.ts';

const PATH = '/_synapse/admin/v1/experimental_features/{userId}';

/** What Synapse knows such features by, and whether this server has it: pushers switched from afar, sliding sync, `state_after`. */
const FEATURES: Readonly<Record<string, boolean>> = { msc3881: false, msc3575: true, msc4222: true };

/** `GET /_synapse/admin/v1/experimental_features/{userId}`. */
export const getExperimentalFeatures = endpoint({
  method: 'GET',
  path: PATH,
  auth: 'admin',
  may: 'users.read',
  audit: { action: 'user.read' },
  rateLimit: 'none',
  handler: ({ params }, context: AdminContext) => {
    targetUser(context, params.userId);
    return { features: FEATURES };
  },
});

/** `PUT /_synapse/admin/v1/experimental_features/{userId}`: refuses what would change something. */
export const putExperimentalFeatures = endpoint({
  method: 'PUT',
  path: PATH,
  auth: 'admin',
  may: 'users.write',
  rateLimit: 'none',
  body: z.object({ features: z.record(z.string(), z.boolean()) }),
  audit: { action: 'user.modify', describe: ({ body }) => ({ after: { features: body.features } }) },
  handler: ({ params, body }, context: AdminContext) => {
    targetUser(context, params.userId);
    for (const [feature, isWanted] of Object.entries(body.features)) {
      const isOn = Object.hasOwn(FEATURES, feature) ? FEATURES[feature] : undefined;
      if (isOn === undefined) throw invalidParam(`This server knows no feature ${feature}.`);
      if (isOn !== isWanted) throw invalidParam(`${feature} is ${isOn ? 'on' : 'off'} for everybody on this server.`);
    }
    return {};
  },
});
