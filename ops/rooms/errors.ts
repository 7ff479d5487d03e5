/** Files that do not hold the PDUs or states that they should; the message names the file and the place in it. */
export class RoomFileError extends Error {
  override readonly name = 'RoomFileError';
  /** Path of the file, with the index of the entry where there is one: `room.json[3]`. */
  readonly where: string;
  constructor(where: string, problem: string) {
    super(`${where}: ${problem}`);
    this.where = where;
  }
}

/** Most events of a circle that a message names. */
const MAX_NAMED = 10;

/** Events that follow or authorise each other in a circle, which only made-up ids can. */
export class EventCycleError extends Error {
  override readonly name = 'EventCycleError';
  /** The events of the circle: each follows, or is authorised by, the one after it, and the last by the first. */
  readonly eventIds: readonly string[];
  constructor(eventIds: readonly string[]) {
    const named = eventIds.slice(0, MAX_NAMED);
    const rest = eventIds.length > named.length ? ` → … (${eventIds.length - named.length} more)` : '';
    super(
      `The prev_events and auth_events of ${eventIds.length === 1 ? 'an event name' : `${eventIds.length} events lead back to`} ` +
        `${eventIds.length === 1 ? 'the event itself' : 'themselves'}: ${named.join(' → ')}${rest} → ${eventIds[0]}. ` +
        'No such events can exist; look for a wrong event_id.',
    );
    this.eventIds = eventIds;
  }
}

/** More forks meet in one place than can be resolved with each other in the memory there is. */
export class TooManyForksError extends Error {
  override readonly name = 'TooManyForksError';
  constructor(forks: number, at: string | undefined) {
    super(
      `${forks} forks meet ${at === undefined ? 'at the end of the room' : `in ${at}`}, too many to be resolved with each other.`,
    );
  }
}
