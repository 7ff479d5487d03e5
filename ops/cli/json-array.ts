/** A JSON array with one element a line: it never is one text of unbounded length. Elements are read as lines are asked for. */
export function* jsonArray(elements: Iterable<unknown>): Generator<string> {
  let start = '[';
  let last: string | undefined;
  for (const element of elements) {
    if (last !== undefined) {
      yield `${start}${last},`;
      start = ' ';
    }
    last = JSON.stringify(element);
  }
  yield last === undefined ? '[]' : `${start}${last}]`;
}
