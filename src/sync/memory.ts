import { JoinedRooms } from './joined-rooms.ts';
import { RecentChanges } from './recent-changes.ts';
import { SharedEvents } from './shared-events.ts';
import { Heroes } from './summary.ts';

/** What saves work between the answers to syncs of all kinds. All of it can be lost at any time. */
export class SyncMemory {
  readonly recent = new RecentChanges();
  readonly joinedRooms = new JoinedRooms(this.recent);
  readonly shared = new SharedEvents();
  readonly heroes = new Heroes();
}
