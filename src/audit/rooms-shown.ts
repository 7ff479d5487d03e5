/** The memberships by which `/sync` groups rooms. */
const GROUPS: readonly string[] = ['join', 'invite', 'knock', 'leave'];
/** Members of events and answers that hold what people wrote: room ids there are words. */
const WRITTEN: ReadonlySet<string> = new Set(['content', 'prev_content', 'account_data', 'profile_info']);

/**
 * The ids of the rooms of which an answer of the client API shows something: those that are keys of `rooms`, as in the answers of
 * `/sync`, and those that events or results name as `room_id`.
 */
export function* roomsShownIn(answer: unknown): Generator<string> {
  const waiting: unknown[] = [answer];
  while (waiting.length > 0) {
    const value = waiting.pop();
    if (typeof value !== 'object' || value === null) continue;
    for (const [name, member] of Object.entries(value)) {
      if (WRITTEN.has(name)) continue;
      if (name === 'room_id' && typeof member === 'string') yield member;
      if (name === 'rooms') yield* keysOf(member);
      if (typeof member === 'object' && member !== null) waiting.push(member);
    }
  }
}

function* keysOf(rooms: unknown): Generator<string> {
  if (typeof rooms !== 'object' || rooms === null) return;
  for (const [name, member] of Object.entries(rooms)) {
    if (name.startsWith('!')) yield name;
    if (GROUPS.includes(name) && typeof member === 'object' && member !== null) yield* Object.keys(member);
  }
}
