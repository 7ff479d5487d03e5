import type { Reader } from '#projections/engine/reader.ts';
import type { EventLog } from '#streams/event-log.ts';
import type { Accounts } from './accounts/accounts.ts';
import type { OpenIdTokens } from './accounts/openid-tokens.ts';
import type { BackgroundTasks } from './admin/background-tasks.ts';
import type { Audit } from './audit/audit.ts';
import type { Repeats } from './audit/repeats.ts';
import type { Bus } from './bus/bus.ts';
import type { Profiles } from './client-api/profile/profiles.ts';
import type { StreamCommands } from './commands/stream-command.ts';
import type { Compliance } from './compliance/compliance.ts';
import type { Config } from './config/schema.ts';
import type { DelayedEvents } from './delayed-events/delayed-events.ts';
import type { Acknowledgements } from './encryption/acknowledgements.ts';
import type { RemoteKeys } from './encryption/remote-keys.ts';
import type { Presence } from './ephemeral/presence.ts';
import type { Typing } from './ephemeral/typing.ts';
import type { EvidenceLocker } from './evidence/evidence.ts';
import type { CaseExports } from './exports/case-exports.ts';
import type { Backfilling } from './federation/backfilling.ts';
import type { Entrance } from './federation/entrance.ts';
import type { Federation } from './federation/federation.ts';
import type { IdentityServers } from './federation/identity-servers.ts';
import type { Transactions } from './federation/inbound/transactions.ts';
import type { Inviting } from './federation/inviting.ts';
import type { Sender } from './federation/outbound/sender.ts';
import type { PolicyService } from './federation/policy-service/policy-service.ts';
import type { ThirdPartyInvites } from './federation/third-party-invites.ts';
import type { MediaStore } from './media/media-store.ts';
import type { RemoteMedia } from './media/remote-media.ts';
import type { Thumbnailer } from './media/thumbnailer.ts';
import type { UrlPreviews } from './media/url-preview/url-previews.ts';
import type { Push } from './push/push.ts';
import type { Roles } from './roles/roles.ts';
import type { ScopedTokens } from './roles/scoped-tokens.ts';
import type { Directory } from './rooms/directory.ts';
import type { Receiver } from './rooms/receive/receiver.ts';
import type { RemoteSpaces } from './rooms/remote-spaces.ts';
import type { Rooms } from './rooms/rooms.ts';
import type { SearchIndex } from './search/search-index.ts';
import type { ServerNotices } from './server-notices/server-notices.ts';
import type { SlidingSync } from './sliding-sync/sliding-sync.ts';
import type { Sync } from './sync/sync.ts';

/** What the endpoints of this server work with. Made once, in server.ts. */
export interface Context {
  readonly config: Config;
  readonly serverName: string;
  readonly log: EventLog;
  /** The committed projections. */
  readonly reader: Reader;
  readonly bus: Bus;
  readonly accounts: Accounts;
  readonly openIdTokens: OpenIdTokens;
  readonly commands: StreamCommands;
  /** What has to be answered for goes on record here, before it is answered. */
  readonly audit: Audit;
  /** The same for what strangers can cause as often as they like. */
  readonly repeats: Repeats;
  readonly evidence: EvidenceLocker;
  readonly roles: Roles;
  readonly scopedTokens: ScopedTokens;
  readonly rooms: Rooms;
  readonly sync: Sync;
  readonly slidingSync: SlidingSync;
  readonly search: SearchIndex;
  readonly directory: Directory;
  readonly remoteSpaces: RemoteSpaces;
  readonly profiles: Profiles;
  readonly delayedEvents: DelayedEvents;
  readonly serverNotices: ServerNotices;
  readonly typing: Typing;
  readonly presence: Presence;
  readonly acknowledgements: Acknowledgements;
  readonly media: MediaStore;
  readonly push: Push;
  readonly remoteMedia: RemoteMedia;
  readonly thumbnails: Thumbnailer;
  /** Undefined where no previews are made. */
  readonly urlPreviews: UrlPreviews | undefined;
  readonly federation: Federation;
  /** Set where this server is a policy server. */
  readonly policyService: PolicyService | undefined;
  /** Takes in events of other servers. */
  readonly receiver: Receiver;
  readonly transactions: Transactions;
  readonly entrance: Entrance;
  readonly inviting: Inviting;
  readonly thirdPartyInvites: ThirdPartyInvites;
  /** Identity servers that users name. */
  readonly identity: IdentityServers;
  readonly sender: Sender;
  /** Keys of users of other servers. */
  readonly remoteKeys: RemoteKeys;
  readonly backfilling: Backfilling;
  /** What may go and what stays: holds, retention, erasure, purges. */
  readonly compliance: Compliance;
  /** Exports that were asked for over HTTP. */
  readonly exports: CaseExports;
  /** What administrators started and asks for its time. */
  readonly tasks: BackgroundTasks;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** 16 fresh bytes for a record's id. */
  readonly newRecordId: () => Uint8Array;
  /** A fresh room id, for the room versions whose rooms are named by their creator's server. */
  readonly newRoomId: () => string;
}
