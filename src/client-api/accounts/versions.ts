import { endpoint } from '#src/http/endpoint.ts';

/** The versions of the specification whose client API this server speaks. */
const VERSIONS = Array.from({ length: 19 }, (_, index) => `v1.${index + 1}`);

/** Proposals that this server follows under their unstable names. */
const UNSTABLE_FEATURES = {
  /** Simplified sliding sync. */
  'org.matrix.simplified_msc3575': true,
  /** What was redacted, for those who may redact. */
  'fi.mau.msc2815': true,
  /** Filters on how an event relates to others. */
  'org.matrix.msc3874': true,
  /** Indirect relations, and the event nearest to a time, which clients looked for before they were in the specification. */
  'org.matrix.msc3981': true,
  'org.matrix.msc3030': true,
  /** Delayed events. */
  'org.matrix.msc4140': true,
  /** Mutual rooms, which clients looked for under this name before they were in the specification. */
  'uk.half-shot.msc2666.query_mutual_rooms': true,
  /** Reporting rooms, and users, likewise. */
  'org.matrix.msc4151': true,
  'org.matrix.msc4260': true,
  /** Thread subscriptions, and the extension of sliding sync that tells of them. */
  'org.matrix.msc4306': true,
  'org.matrix.msc4308': true,
  /** Dehydrated devices. */
  'org.matrix.msc3814': true,
} as const;

/**
 * `GET /_matrix/client/versions`: which versions of the specification the server speaks.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientversions
 */
export const versions = endpoint({
  method: 'GET',
  path: '/_matrix/client/versions',
  auth: 'none',
  rateLimit: 'read',
  handler: () => ({ versions: VERSIONS, unstable_features: UNSTABLE_FEATURES }),
});
