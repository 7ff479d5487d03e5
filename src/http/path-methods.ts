/** Which methods the paths of a server have: for the answer to a request whose path is known, but not with its method. */
import type { Method } from './endpoint.ts';

interface KnownPath {
  /** In the router's notation. */
  readonly url: string;
  /** Between its slashes; undefined for a parameter. */
  readonly segments: readonly (string | undefined)[];
  readonly methods: Set<Method>;
}

/**
 * The paths of all endpoints with their methods. A route for each method that a path does not have would be most of all routes;
 * so the router knows only a few of them, and the others are looked for when nothing else was found.
 */
export class PathMethods {
  /** By the path with its parameters taken out. */
  readonly #byShape = new Map<string, KnownPath>();
  /** By the number of segments. */
  readonly #byLength = new Map<number, KnownPath[]>();

  /** @param url in the router's notation, see route-paths.ts. */
  add(url: string, method: Method): void {
    const segments = url.split('/').map((one) => (/^:\w/.test(one) ? undefined : one.replaceAll('::', ':')));
    // Where only the names of parameters differ, it is one path.
    const shape = JSON.stringify(segments);
    const known = this.#byShape.get(shape);
    if (known !== undefined) {
      known.methods.add(method);
      return;
    }
    const path: KnownPath = { url, segments, methods: new Set([method]) };
    this.#byShape.set(shape, path);
    const alike = this.#byLength.get(segments.length);
    if (alike === undefined) this.#byLength.set(segments.length, [path]);
    else alike.push(path);
  }

  /**
   * Paths with the methods that the router has to be told they do not have: it would find them at a path that reads the same, as
   * `/a/b` does that of `/a/{id}`.
   */
  *hidden(): Generator<{
    readonly url: string;
    readonly methods: readonly Method[];
    readonly allowed: readonly Method[];
  }> {
    for (const path of this.#byShape.values()) {
      const methods = new Set<Method>();
      for (const other of this.#byLength.get(path.segments.length) ?? []) {
        if (other === path || !canBeOne(path, other)) continue;
        for (const method of other.methods) if (!path.methods.has(method)) methods.add(method);
      }
      if (methods.size > 0) yield { url: path.url, methods: [...methods], allowed: [...path.methods] };
    }
  }

  /** The methods of the path of a request; undefined if it is none of the known. What is spelled out goes before parameters. */
  at(requestUrl: string): readonly Method[] | undefined {
    const end = requestUrl.search(/[?#]/);
    const segments = (end < 0 ? requestUrl : requestUrl.slice(0, end)).split('/').map(decoded);
    let best: KnownPath | undefined;
    for (const path of this.#byLength.get(segments.length) ?? []) {
      if (!path.segments.every((segment, index) => segment === undefined || segment === segments[index])) continue;
      if (best === undefined || isMoreExact(path, best)) best = path;
    }
    return best && [...best.methods];
  }
}

/** Whether a request could be for either. */
function canBeOne(one: KnownPath, other: KnownPath): boolean {
  return one.segments.every((segment, index) => {
    const there = other.segments[index];
    return segment === undefined || there === undefined || segment === there;
  });
}

/** Whether the first segment in which they differ is spelled out. */
function isMoreExact(one: KnownPath, other: KnownPath): boolean {
  const index = one.segments.findIndex((segment, at) => segment !== other.segments[at]);
  return one.segments[index] !== undefined;
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
