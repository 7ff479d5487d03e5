/**
 * Events that authorise each other in a circle. No event that was let into a room can be part of one, as each needs its
 * auth events to be there before it; where servers choose event ids (room versions 1 and 2) a file can still claim one.
 */
export class AuthChainCycleError extends Error {
  override readonly name = 'AuthChainCycleError';
  /** An event of the circle. */
  readonly eventId: string;
  constructor(eventId: string) {
    super(`The auth events of ${eventId} lead back to it.`);
    this.eventId = eventId;
  }
}

/** Auth chains with more events than `MAX_AUTH_CHAIN_EVENTS`. */
export class AuthChainTooLargeError extends Error {
  override readonly name = 'AuthChainTooLargeError';
  constructor(limit: number) {
    super(`The auth chains of the states hold more than ${limit} events.`);
  }
}
