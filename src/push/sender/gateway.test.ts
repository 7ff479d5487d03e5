import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Agent } from 'undici';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { safeConnector } from '#src/net/safe-connector.ts';
import { GatewayFailed, HttpGateway } from './gateway.ts';

let server: Server;
let url: string;
let handle: (request: IncomingMessage, response: ServerResponse, body: string) => void;
const agents: Agent[] = [];

beforeEach(async () => {
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => handle(request, response, body));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/_matrix/push/v1/notify`;
});

afterEach(async () => {
  for (const agent of agents.splice(0)) await agent.destroy();
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

function gateway(allowPrivate = true): HttpGateway {
  const agent = new Agent({ connect: safeConnector({ allowPrivate }) });
  agents.push(agent);
  return new HttpGateway(() => agent);
}

const { signal } = new AbortController();

it('takes notifications, and says which pushkeys are not valid', async () => {
  let taken = '';
  handle = (request, response, body) => {
    taken = `${request.method} ${request.url} ${request.headers['content-type']} ${body}`;
    response.end('{"rejected":["one",7,"two"]}');
  };
  expect(await gateway().notify(url, '{"notification":{}}', signal)).toEqual({ rejected: ['one', 'two'] });
  expect(taken).toBe('POST /_matrix/push/v1/notify application/json {"notification":{}}');
});

it.each(['', '{}', 'OK', '[]', '{"rejected":"x"}'])(
  'has taken a notification that it answers with %j',
  async (answer) => {
    handle = (_, response) => response.end(answer);
    expect(await gateway().notify(url, '{}', signal)).toEqual({ rejected: [] });
  },
);

it('fails with other statuses, and may say for how long', async () => {
  handle = (_, response) => response.writeHead(429, { 'retry-after': '30' }).end();
  await expect(gateway().notify(url, '{}', signal)).rejects.toMatchObject({
    name: 'GatewayFailed',
    retryAfterMs: 30_000,
  });
  handle = (_, response) => response.writeHead(502).end('<html>');
  await expect(gateway().notify(url, '{}', signal)).rejects.toThrow('502');
});

it('leads nowhere else', async () => {
  let requests = 0;
  handle = (_, response) => {
    requests += 1;
    response.writeHead(307, { location: url }).end();
  };
  await expect(gateway().notify(url, '{}', signal)).rejects.toThrow('307');
  expect(requests).toBe(1);
});

it('cannot fill the memory', async () => {
  handle = (_, response) => {
    response.on('error', () => undefined);
    const more = (): void => {
      while (!response.destroyed && response.write('x'.repeat(65_536)));
      if (!response.destroyed) response.once('drain', more);
    };
    more();
  };
  await expect(gateway().notify(url, '{}', signal)).rejects.toThrow(GatewayFailed);
});

it('is not inside the network of the server', async () => {
  let requests = 0;
  handle = (_, response) => {
    requests += 1;
    response.end('{}');
  };
  await expect(gateway(false).notify(url, '{}', signal)).rejects.toThrow(GatewayFailed);
  expect(requests).toBe(0);
});

it('is left alone when the server stops', async () => {
  const stopping = new AbortController();
  handle = () => stopping.abort(new Error('stopping'));
  await expect(gateway().notify(url, '{}', stopping.signal)).rejects.toThrow('stopping');
});
