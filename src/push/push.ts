/** Puts together what notifies users: which events do, how much is unread, and what is sent to push gateways. */
import type { ProjectionEngine } from '#projections/engine/engine.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import type { Config } from '#src/config/schema.ts';
import type { Logger } from '#src/log/logger.ts';
import { safeConnector } from '#src/net/safe-connector.ts';
import { LazyAgent } from '#src/net/undici.ts';
import { PushProfiles } from './push-profiles.ts';
import { type Gateway, HttpGateway } from './sender/gateway.ts';
import { PushSender } from './sender/push-sender.ts';
import { UnreadCounts } from './unread.ts';

export interface PushParts {
  readonly config: Config;
  readonly engine: ProjectionEngine;
  readonly commands: StreamCommands;
  readonly newRecordId: () => Uint8Array;
  readonly clock: () => number;
  readonly logger: Logger;
  /** Default: the gateways that users name, over HTTP. */
  readonly gateway?: Gateway | undefined;
}

export interface Push {
  /** What decides which events notify a user. */
  readonly profiles: PushProfiles;
  readonly unread: UnreadCounts;
  /** Missing where no notifications are sent. */
  readonly sender: PushSender | undefined;
  /** Breaks off what is on its way, and records how far it has come. */
  close(): Promise<void>;
}

/** Begins to send, unless the settings say not to. */
export function createPush(parts: PushParts): Push {
  const { config, engine } = parts;
  const profiles = new PushProfiles();
  const unread = new UnreadCounts(profiles);
  if (!config.push.enabled) return { profiles, unread, sender: undefined, close: () => Promise.resolve() };
  const allowPrivate = config.push.allow_private_addresses ?? config.federation.allow_private_addresses;
  const agent = new LazyAgent({ connect: safeConnector({ allowPrivate }) });
  const sender = new PushSender({
    ...parts,
    reader: engine.reader,
    onAdvance: (listener) => engine.onAdvance(listener),
    profiles,
    unread,
    gateway: parts.gateway ?? new HttpGateway(() => agent.get()),
  });
  sender.start();
  return {
    profiles,
    unread,
    sender,
    close: async () => {
      await sender.stop();
      await agent.destroy();
    },
  };
}
