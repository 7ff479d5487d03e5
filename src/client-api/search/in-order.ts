/**
 * Gives entries in order, without sorting more of them than are taken: a heap, of which the first is taken again and again.
 * `isBefore` is a strict order. The list is used up.
 */
export function* inOrder<T>(entries: T[], isBefore: (a: T, b: T) => boolean): Generator<T> {
  for (let index = (entries.length >>> 1) - 1; index >= 0; index -= 1) sink(entries, index, isBefore);
  while (entries.length > 0) {
    const first = entries[0] as T;
    const last = entries.pop() as T;
    if (entries.length > 0) {
      entries[0] = last;
      sink(entries, 0, isBefore);
    }
    yield first;
  }
}

function sink<T>(heap: T[], from: number, isBefore: (a: T, b: T) => boolean): void {
  const entry = heap[from] as T;
  let at = from;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1] as T, heap[child] as T)) child += 1;
    if (!isBefore(heap[child] as T, entry)) break;
    heap[at] = heap[child] as T;
    at = child;
  }
  heap[at] = entry;
}
