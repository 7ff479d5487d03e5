import { BEFORE_FIRST } from '#streams/event-log.ts';
import { type Bus, serverOfTopic } from './bus.ts';

/**
 * Calls a listener with each server that could not be reached and has given a sign of life, on whichever node.
 * @returns what ends it
 */
export function onServerBack(bus: Pick<Bus, 'follow'>, listener: (server: string) => void): () => void {
  return bus.follow((topics, position) => {
    if (position !== BEFORE_FIRST) return;
    for (const topic of topics) {
      const server = serverOfTopic(topic);
      if (server !== undefined) listener(server);
    }
  });
}
