/** One look at what is new for a user, and what the sections of its answer are made with. */
import type { Reader } from '#projections/engine/reader.ts';
import type { Event, Room } from '#projections/rooms/queries.ts';
import type { Filter } from '#src/client-api/filters/filter.ts';
import type { UnreadCounts } from '#src/push/unread.ts';
import { RoomVisibility } from '#src/rooms/visibility.ts';
import type { EventLog, Position } from '#streams/event-log.ts';
import type { BundledRelations } from './bundled-relations.ts';
import type { EventView, Viewer } from './client-event.ts';
import { federationEvents } from './federation-event.ts';
import type { LazyMembers } from './lazy-members.ts';
import { pacedEvents } from './paced-events.ts';
import type { Pacer } from './pacer.ts';
import type { SharedEvents } from './shared-events.ts';
import type { Heroes } from './summary.ts';

/** Events of one room's timeline when the filter does not say. */
export const DEFAULT_TIMELINE_LIMIT = 10;
/** Most events of one room's timeline, whatever the filter says. */
export const MAX_TIMELINE_LIMIT = 500;

/**
 * The section that has the state events of a room: `state` with what happened up to the start of the timeline, the others with
 * what happened up to its end. Whoever asks for that by its older name looks for it there. Source: MSC4222.
 */
export type StateSection = 'state' | 'state_after' | 'org.matrix.msc4222.state_after';

export interface SyncRun {
  readonly reader: Reader;
  readonly log: EventLog;
  readonly viewer: Viewer;
  readonly filter: Filter;
  /** What the client has seen; `BEFORE_FIRST` when it comes for the first time. */
  readonly since: Position;
  readonly isInitial: boolean;
  /** The moment of the answer: what comes later comes with the next one. */
  readonly upTo: Position;
  readonly isFullState: boolean;
  readonly stateSection: StateSection;
  readonly nowMs: number;
  readonly pacer: Pacer;
  readonly heroes: Heroes;
  readonly lazyMembers: LazyMembers;
  readonly shared: SharedEvents;
  readonly unread: UnreadCounts;
  /** Whose events the user does not want to see. */
  readonly ignored: ReadonlySet<string>;
  /** What goes with events that others relate to. */
  readonly bundles: BundledRelations;
}

/** A room as the user of a run sees it. */
export interface RoomRun {
  readonly run: SyncRun;
  readonly room: Room;
  readonly visibility: RoomVisibility;
  readonly view: EventView;
}

/** A room as the user of a run sees it. */
export function roomRunOf(run: SyncRun, room: Room): RoomRun {
  const visibility = new RoomVisibility(run.reader, room.id, run.viewer.userId);
  const { selectFields } = run.filter;
  const view: EventView = {
    reader: run.reader,
    visibility,
    viewer: run.viewer,
    nowMs: run.nowMs,
    ...(selectFields && { selectFields }),
  };
  return { run, room, visibility, view };
}

/** A room whose events are to be shown with what relates to them. */
export function withBundles({ view, ...roomRun }: RoomRun): RoomRun {
  return { ...roomRun, view: { ...view, bundles: roomRun.run.bundles } };
}

/** JSON text of a list of events, in the format that the filter asks for. */
export function eventsJson({ run, view }: RoomRun, events: readonly Event[]): string | Promise<string> {
  if (events.length === 0) return '[]';
  if (run.filter.eventFormat === 'federation') return federationEvents(run.log, run.reader, events);
  return pacedEvents(events, run.pacer, (event) => run.shared.text(view, event));
}
