/** The paths that a declaration stands for, in the router's own notation. */

/**
 * What today's path prefixes were called in earlier versions of the specification. Clients of those versions are still
 * about, and the old names are free, so every endpoint answers to them.
 */
const OLDER_PREFIXES: readonly (readonly [today: string, older: string])[] = [
  ['/_matrix/client/v3/', '/_matrix/client/r0/'],
  ['/_matrix/media/v3/', '/_matrix/media/r0/'],
  ['/_matrix/media/v3/', '/_matrix/media/v1/'],
];

export interface RoutePath {
  /** In the router's notation: `:name` for a parameter, `::` for a colon. */
  readonly url: string;
  /** Parameters of the declaration that this path lacks. */
  readonly missing: readonly string[];
}

/** Every path of an endpoint, the declared one first, each once. */
export function routePaths(path: string, aliases: readonly string[] = []): RoutePath[] {
  const names = paramNames(path);
  const paths = new Set<string>();
  for (const one of [path, ...aliases]) {
    paths.add(one);
    for (const [today, older] of OLDER_PREFIXES) {
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
