import { spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AuditEntryJson } from '../entry-json.ts';
import { fileSink } from './file-sink.ts';
import { natsSink } from './nats-sink.ts';
import { syslogMessage, syslogSink } from './syslog-sink.ts';

const entry = (position: number, more: object = {}): AuditEntryJson => ({
  position,
  id: `id${position}`,
  at: '2026-01-31T12:00:00.000Z',
  actor: { kind: 'user', user_id: '@ä:example.org' },
  action: 'user.suspend',
  outcome: 'allowed',
  ...more,
});

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'stele-sinks-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function listening(server: Server, at?: string): Promise<number> {
  if (at === undefined) server.listen(0, '127.0.0.1');
  else server.listen(at);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** A server that keeps what one connection at a time sends. */
function collector(): { readonly server: Server; readonly sockets: Socket[]; until(text: string): Promise<string> } {
  let received = '';
  let check = (): void => {};
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.setEncoding('utf8').on('data', (data: string) => {
      received += data;
      check();
    });
  });
  return {
    server,
    sockets,
    until: (text) =>
      new Promise((resolve) => {
        check = () => {
          if (received.includes(text)) resolve(received);
        };
        check();
      }),
  };
}

test('a file gets lines, also after it was moved away', async () => {
  const file = path.join(folder, 'audit.jsonl');
  const sink = fileSink(file);
  await sink.send([entry(1), entry(2)]);
  const text = await readFile(file, 'utf8');
  expect(
    text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line)),
  ).toEqual([entry(1), entry(2)]);
  await rm(file);
  await sink.send([entry(3)]);
  expect(JSON.parse(await readFile(file, 'utf8'))).toEqual(entry(3));
});

describe('syslog', () => {
  test('a message is one of RFC 5424: log audit, notice or warning, the action as its id, JSON', () => {
    const [head, ...json] = syslogMessage(entry(7), 'example.org').toString('utf8').split(' - ');
    expect(head).toBe(`<109>1 2026-01-31T12:00:00.000Z example.org stele ${process.pid} user.suspend`);
    expect(JSON.parse(json.join(' - '))).toEqual(entry(7));
    expect(syslogMessage(entry(7, { outcome: 'refused' }), 'x').toString('utf8')).toMatch(/^<108>1 /);
  });

  test('over UDP, what does not fit goes without its details', async () => {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const sink = syslogSink({ url: `udp://127.0.0.1:${socket.address().port}`, serverName: 'example.org' });
    const arrived = once(socket, 'message');
    await sink.send([entry(1, { after: 'x'.repeat(20_000) })]);
    const [message] = (await arrived) as [Buffer];
    const { after, details_left_out: isLeftOut, position } = JSON.parse(message.toString('utf8').split(' - ')[1] ?? '');
    expect([after, isLeftOut, position]).toEqual([undefined, true, 1]);
    await sink.close();
    socket.close();
  });

  test.each(['tcp', 'unix'])(
    'over %s each has its length before it, and a new connection is made when one is gone',
    async (kind) => {
      const { server, sockets, until } = collector();
      const socketPath = path.join(folder, 'syslog.sock');
      const port = await listening(server, kind === 'unix' ? socketPath : undefined);
      const url = kind === 'unix' ? `unix://${socketPath}` : `tcp://127.0.0.1:${port}`;
      const sink = syslogSink({ url, serverName: 'example.org' });
      await sink.send([entry(1), entry(2)]);
      const text = Buffer.from(await until('"id2"'), 'utf8');
      const length = Number.parseInt(text.toString('utf8'), 10);
      const start = text.indexOf(' ') + 1;
      expect(text.subarray(start, start + length)).toEqual(syslogMessage(entry(1), 'example.org'));
      expect(text.subarray(start + length).toString('utf8')).toMatch(/^\d+ <109>1 /);
      const [first] = sockets;
      const gone = first && once(first, 'close');
      first?.destroy();
      await gone;
      // The sink may not have heard of it yet: whoever calls tries again.
      while (sockets.length < 2) await sink.send([entry(3)]).catch(() => {});
      await sink.send([entry(4)]);
      await until('"id4"');
      await sink.close();
      server.close();
    },
  );

  // Node makes no such sockets itself.
  test.skipIf(spawnSync('python3', ['--version']).status !== 0)(
    'a socket for datagrams is told what to do',
    async () => {
      const socketPath = path.join(folder, 'datagrams.sock');
      const bind =
        'import socket, sys; s = socket.socket(1, 2); s.bind(sys.argv[1]); print("bound", flush=True); input()';
      const holder = spawn('python3', ['-c', bind, socketPath], { stdio: ['pipe', 'pipe', 'ignore'] });
      await once(holder.stdout, 'data');
      const sink = syslogSink({ url: `unix://${socketPath}`, serverName: 'example.org' });
      await expect(sink.send([entry(1)])).rejects.toThrow('let the syslog daemon listen on the loopback');
      const ended = once(holder, 'close');
      holder.stdin.end();
      await ended;
    },
  );

  test('nobody there is an error', async () => {
    const { server } = collector();
    const port = await listening(server);
    await new Promise((resolve) => server.close(resolve));
    const sink = syslogSink({ url: `tcp://127.0.0.1:${port}`, serverName: 'example.org' });
    await expect(sink.send([entry(1)])).rejects.toThrow('ECONNREFUSED');
  });
});

test('NATS gets each entry as a message, which counts when the server has answered', async () => {
  const published: { subject: string; payload: string }[] = [];
  // What of the protocol a publisher needs: INFO, then PONG for each PING.
  const server = createServer((socket) => {
    socket.write('INFO {"server_id":"x","version":"2.10.0","proto":1,"max_payload":1048576}\r\n');
    let text = '';
    socket.setEncoding('latin1').on('data', (data: string) => {
      text += data;
      for (;;) {
        const end = text.indexOf('\r\n');
        if (end < 0) return;
        const [verb, subject = '', size = '0'] = text.slice(0, end).split(' ');
        if (verb === 'PUB') {
          const begin = end + 2;
          const length = Number(size);
          if (text.length < begin + length + 2) return;
          const payload = Buffer.from(text.slice(begin, begin + length), 'latin1').toString('utf8');
          published.push({ subject, payload });
          text = text.slice(begin + length + 2);
          continue;
        }
        text = text.slice(end + 2);
        if (verb === 'PING') socket.write('PONG\r\n');
      }
    });
  });
  const port = await listening(server);
  const sink = natsSink({ url: `nats://127.0.0.1:${port}`, subject: 'stele.audit' });
  await sink.send([entry(1), entry(2)]);
  expect(published.map(({ subject, payload }) => [subject, JSON.parse(payload)])).toEqual([
    ['stele.audit', entry(1)],
    ['stele.audit', entry(2)],
  ]);
  await sink.close();
  server.close();
});
