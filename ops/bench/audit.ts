/**
 * What compliance costs sends: a server with a retention policy that is carried out meanwhile and a legal hold, that passes on its
 * audit log and is administered, beside one that has nothing of it.
 */
import { createHmac } from 'node:crypto';
import type { Config } from '#src/config/schema.ts';
import { askServer } from '../cli/operator-request.ts';
import { cpuSeconds } from './federation-watch.ts';
import { jsonRequest, load } from './load.ts';
import type { BenchResult } from './result.ts';
import { type BenchServer, startServerWith } from './server.ts';

/** By turns, so that what else the machine does falls on both. */
const TURNS = 6;
const TURN_MS = 3_000;
const WARM_UP_MS = 8_000;
const SENDERS = 8;
/** An administrator looks at accounts so often while messages are sent. */
const LOOK_INTERVAL_MS = 200;
/** So that it goes through the log while it is measured; in a day's operation it does that once. */
const RETENTION_INTERVAL = '30s';
const SECRET = 'bench';
const PASSWORD = 'a long bench password';
const BODY = JSON.stringify({ msgtype: 'm.text', body: 'x'.repeat(160) });

interface Sending {
  readonly server: BenchServer;
  readonly name: string;
  /** Sends for so long; gives how many. */
  send(turn: string, durationMs: number): Promise<number>;
}

/** CPU time a send with audit, retention and a hold, against that without. */
export async function runAuditBench(): Promise<BenchResult> {
  const registration = { open: true, token_required: false, shared_secret: SECRET };
  const plain = await prepare('without', await startServerWith({ registration }));
  const audited = await prepare(
    'with',
    await startServerWith({
      registration,
      audit: { streams: [{ to: 'file', path: 'audit.jsonl' }] },
      retention: { classes: { messages: { max: '30d' } }, interval: RETENTION_INTERVAL },
    }),
  );
  try {
    const token = await makeAdministrator(audited.server);
    await askServer({ data_dir: audited.server.dataDir } as Config, '/_stele/operator/holds/add', {
      scope: { user_id: '@sender0:localhost' },
      case_id: 'bench',
      reason: 'bench',
    });
    const used = new Map<Sending, { seconds: number; sends: number }>();
    for (const sending of [plain, audited]) {
      await sending.send('warm', WARM_UP_MS);
      used.set(sending, { seconds: 0, sends: 0 });
    }
    for (let turn = 0; turn < TURNS; turn += 1) {
      for (const [sending, sum] of used) {
        const before = await cpuSeconds(sending.server.pid);
        const looking = sending === audited ? lookAround(audited.server, token) : undefined;
        sum.sends += await sending.send(`t${turn}`, TURN_MS);
        await looking?.stop();
        sum.seconds += (await cpuSeconds(sending.server.pid)) - before;
      }
    }
    const usOf = (sending: Sending): number => {
      const { seconds, sends } = used.get(sending) ?? { seconds: 0, sends: 1 };
      return (seconds * 1e6) / sends;
    };
    const [withAudit, without] = [usOf(audited), usOf(plain)];
    return {
      name: 'CPU time of a send with the audit log passed on, an administrator at work, retention and a hold',
      figure: withAudit,
      unit: 'µs',
      ceiling: without,
      ceilingName: 'a server without',
      ratio: withAudit / without,
      details: { 'administrative requests a second': 1000 / LOOK_INTERVAL_MS },
    };
  } finally {
    await plain.server.stop();
    await audited.server.stop();
  }
}

async function prepare(name: string, server: BenchServer): Promise<Sending> {
  const owner = await server.register('owner');
  const room = await owner.createRoom({ preset: 'public_chat' });
  const tokens = await Promise.all(
    Array.from({ length: SENDERS }, async (_, index) => {
      const user = await server.register(`sender${index}`);
      await user.join(room);
      return user.token;
    }),
  );
  const at = `/_matrix/client/v3/rooms/${encodeURIComponent(room)}/send/m.room.message`;
  return {
    server,
    name,
    send: async (turn, durationMs) => {
      const { perSecond } = await load({
        host: server.host,
        port: server.port,
        senders: SENDERS,
        durationMs,
        request: (sender, count) => jsonRequest('PUT', `${at}/${turn}-${sender}-${count}`, tokens[sender] ?? '', BODY),
      });
      return (perSecond * durationMs) / 1000;
    },
  };
}

/** Makes an administrator with the shared secret, and gives their access token. */
async function makeAdministrator({ host, port }: BenchServer): Promise<string> {
  const url = `http://${host}:${port}/_synapse/admin/v1/register`;
  const { nonce } = (await (await fetch(url)).json()) as { nonce: string };
  const said = [nonce, 'root', PASSWORD, 'admin'].join('\0');
  const mac = createHmac('sha1', SECRET).update(said).digest('hex');
  const body = JSON.stringify({ nonce, username: 'root', password: PASSWORD, admin: true, mac });
  const answer = await fetch(url, { method: 'POST', body });
  const { access_token: token } = (await answer.json()) as { access_token?: string };
  if (token === undefined) throw new Error('no administrator was made');
  return token;
}

/** Has an administrator look at an account again and again; `stop` throws if that was not answered as it should be. */
function lookAround({ host, port }: BenchServer, token: string): { stop(): Promise<void> } {
  const url = `http://${host}:${port}/_matrix/client/v1/admin/lock/@owner:localhost`;
  const answers: Promise<number>[] = [];
  const timer = setInterval(() => {
    const asked = fetch(url, { headers: { authorization: `Bearer ${token}` } });
    answers.push(asked.then((answer) => answer.arrayBuffer().then(() => answer.status)));
  }, LOOK_INTERVAL_MS);
  return {
    stop: async () => {
      clearInterval(timer);
      for (const status of await Promise.all(answers)) {
        if (status !== 200) throw new Error(`an administrative request was answered with ${status}`);
      }
    },
  };
}
