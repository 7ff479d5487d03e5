/** Whether a text is one of those that a list of patterns, in which `*` stands for any run of characters, admits. */
export type Matcher = (text: string) => boolean;

/**
 * Compiles patterns. Matching takes time in proportion to the text times the number of patterns with a `*`, whatever they
 * look like; there is no backtracking for a hostile pattern to blow up.
 */
export function compileGlobs(patterns: readonly string[]): Matcher {
  const exact = new Set<string>();
  const globs: (readonly string[])[] = [];
  for (const pattern of patterns) {
    if (pattern.includes('*')) globs.push(pattern.split('*'));
    else exact.add(pattern);
  }
  if (globs.length === 0) return (text) => exact.has(text);
  return (text) => exact.has(text) || globs.some((pieces) => matchesPieces(text, pieces));
}

/** `pieces` are what stands between the `*`s, so there are at least two. */
function matchesPieces(text: string, pieces: readonly string[]): boolean {
  const first = pieces[0] ?? '';
  const last = pieces.at(-1) ?? '';
  const end = text.length - last.length;
  if (end < first.length || !text.startsWith(first) || !text.endsWith(last)) return false;
  let at = first.length;
  for (const piece of pieces.slice(1, -1)) {
    // The leftmost place of each piece leaves the most room for the next.
    const found = text.indexOf(piece, at);
    if (found === -1) return false;
    at = found + piece.length;
    if (at > end) return false;
  }
  return true;
}
