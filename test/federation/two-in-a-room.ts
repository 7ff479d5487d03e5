/** Alice of one.test and Bob of two.test in a room, for tests of what is not in its history. */
import type { JsonObject } from '#protocol/pdu.ts';
import type { EncryptionSync } from '#test/client-api/encryption-client.ts';
import { sync } from '#test/client-api/sync-client.ts';
import type { TestClient } from '#test/support/application.ts';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';

const PATIENCE_MS = 20_000;
let names = 0;
let transactions = 0;

/** Two users of two servers who share a room. */
export interface TwoInARoom {
  readonly alice: TestClient;
  readonly bob: TestClient;
  readonly roomId: string;
}

/** Two servers that find each other. */
export class TwoServers {
  readonly network: TestNetwork;
  readonly one: TestServer;
  readonly two: TestServer;

  private constructor(network: TestNetwork, one: TestServer, two: TestServer) {
    this.network = network;
    this.one = one;
    this.two = two;
  }

  static async start(): Promise<TwoServers> {
    const network = new TestNetwork();
    const [one, two] = [await startServerOn(network, 'one.test'), await startServerOn(network, 'two.test')];
    return new TwoServers(network, one, two);
  }

  async close(): Promise<void> {
    await this.one.close();
    await this.two.close();
  }

  /** New users in a new room. */
  async meet(): Promise<TwoInARoom> {
    names += 1;
    const alice = await this.one.register(`alice${names}`);
    const bob = await this.two.register(`bob${names}`);
    const roomId = String((await alice.ok('POST', '/createRoom', { preset: 'public_chat' }))['room_id']);
    await bob.ok('POST', `/join/${encodeURIComponent(roomId)}?via=one.test`, {});
    await until(alice, ({ rooms }) =>
      (rooms?.join?.[roomId]?.timeline.events ?? []).some(({ state_key: key }) => key === bob.userId),
    );
    return { alice, bob, roomId };
  }

  /** Waits for something that no sync tells, and looks whenever something was recorded. */
  async eventually(isSo: () => boolean | Promise<boolean>): Promise<void> {
    for (;;) {
      const recorded = this.#nextRecord();
      if (await isSo()) return;
      await recorded;
    }
  }

  #nextRecord(): Promise<void> {
    return new Promise((resolve) => {
      const stops = [this.one, this.two].map(({ engine }) => engine.onAdvance(done));
      function done(): void {
        for (const stop of stops) stop();
        resolve();
      }
    });
  }
}

/** Syncs, from `since` on, until an answer is as it should be. */
export async function until(
  who: TestClient,
  isDone: (answer: EncryptionSync) => boolean,
  since?: string,
): Promise<EncryptionSync> {
  const deadline = Date.now() + PATIENCE_MS;
  for (let from = since; ; ) {
    const answer = (await sync(who, { ...(from !== undefined && { since: from }), timeout: 1000 })) as EncryptionSync;
    if (isDone(answer)) return answer;
    if (Date.now() > deadline) throw new Error(`it never came; last was ${JSON.stringify(answer)}`);
    from = answer.next_batch;
  }
}

/** Sends EDUs as a server would that may say anything. */
export function sendEdusAs(
  server: TestServer,
  to: string,
  ...edus: readonly (readonly [type: string, content: JsonObject])[]
): Promise<JsonObject> {
  transactions += 1;
  return server.context.federation.client.request({
    destination: to,
    method: 'PUT',
    path: `/_matrix/federation/v1/send/edu${transactions}`,
    content: {
      origin: server.name,
      origin_server_ts: 1,
      pdus: [],
      edus: edus.map(([type, content]) => ({ edu_type: type, content })),
    },
  });
}
