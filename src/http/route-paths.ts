/** The paths that a declaration stands for, in the router's own notation. */

/**
 * What today's path prefixes were called in earlier versions of the specification. Clients of those versions are still
 * about, and the old names are free, so every endpoint answers to them. As whole prefixes they are read as today's before a route
 * is looked for: routes of their own would be half of all routes, and each takes time when the server starts.
 */
const OLDER_PREFIXES: readonly (readonly [today: string, older: string])[] = [
  ['/_matrix/client/v3/', '/_matrix/client/r0/'],
  ['/_matrix/media/v3/', '/_matrix/media/r0/'],
];

/** Likewise, but some endpoints are still called so: these are routes. */
const SHARED_PREFIXES: readonly (readonly [today: string, older: string])[] = [
  ['/_matrix/media/v3/', '/_matrix/media/v1/'],
];

/** The path and query of a request as it would be sent today. */
export function todaysUrl(url: string): string {
  for (const [today, older] of OLDER_PREFIXES) {
    if (url.startsWith(older)) return today + url.slice(older.length);
  }
  return url;
}

export interface RoutePath {
  /** In the router's notation: `:name` for a parameter, `::` for a colon. */
  readonly url: string;
  /** Parameters of the declaration that this path lacks. */
  readonly missing: readonly string[];
}

/** Every path of an endpoint, the declared one first, each once; without those that {@link todaysUrl} takes away. */
export function routePaths(path: string, aliases: readonly string[] = []): RoutePath[] {
  const names = paramNames(path);
  const paths = new Set<string>();
  for (const one of [path, ...aliases]) {
    paths.add(one);
    for (const [today, older] of SHARED_PREFIXES) {
      if (one.startsWith(today)) paths.add(older + one.slice(today.length));
    }
  }
  return [...paths].map((one) => {
    const present = paramNames(one);
    return { url: toRouterPath(one), missing: names.filter((name) => !present.includes(name)) };
  });
}

function paramNames(path: string): string[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? '');
}

function toRouterPath(path: string): string {
  return path.replaceAll(':', '::').replace(/\{(\w+)\}/g, ':$1');
}
