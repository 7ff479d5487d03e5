/** Stele and Synapse: media, lists of rooms and knocks, both ways. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort, SteleProcess, type TestUser } from '#test/support/stele-process.ts';
import { TLS_PATHS } from '#test/support/tls-peer.ts';
import { bodies, create, eventually, type Json, joinBy, membershipOf, path, SLOW_MS, say } from './conversation.ts';
import { findSynapse, SynapseProcess, watchOver } from './synapse-process.ts';

const found = findSynapse();
const isHere = 'version' in found;
if (!isHere) console.warn(`SKIPPED: what is asked of Synapse needs Python with matrix-synapse: ${found.missing}`);

/** A picture of one red dot. */
const PICTURE = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==',
  'base64',
);

describe.skipIf(!isHere)(`Synapse ${'version' in found ? found.version : ''}`, { timeout: SLOW_MS }, () => {
  let stele: SteleProcess;
  let synapse: SynapseProcess;
  let sam: TestUser;
  let yan: TestUser;
  let steleName: string;
  let synapseName: string;
  /** Who has something, who asks for it, and the server of the first. */
  const sides = (): readonly (readonly [TestUser, TestUser, string])[] => [
    [sam, yan, steleName],
    [yan, sam, synapseName],
  ];

  beforeAll(async () => {
    const [stelePort, synapsePort] = [await freePort(), await freePort()];
    [steleName, synapseName] = [`localhost:${stelePort}`, `localhost:${synapsePort}`];
    stele = await SteleProcess.make((port) => ({
      server_name: steleName,
      listeners: [
        { bind: '127.0.0.1', port, serves: ['client', 'ops'] },
        {
          bind: '127.0.0.1',
          port: stelePort,
          serves: ['federation'],
          tls: { cert: TLS_PATHS.cert, key: TLS_PATHS.key },
        },
      ],
      federation: { allow_private_addresses: true, ca_file: TLS_PATHS.ca, trusted_key_servers: [] },
    }));
    synapse = await SynapseProcess.make(synapseName, synapsePort);
    await Promise.all([stele.start(), synapse.start()]);
    [sam, yan] = [await stele.register('sam'), await synapse.register('yan')];
  }, SLOW_MS);
  afterAll(async () => {
    await stele?.remove();
    await synapse?.remove();
  });

  watchOver(() => synapse);

  it.each([0, 1])(
    'hands media over, whole and as thumbnails (%i: 0 for media of Stele, 1 for those of Synapse)',
    async (side) => {
      const [owner, reader] = sides()[side] ?? expect.fail();
      const upload = await fetch(
        `${owner.baseUrl}/_matrix/media/v3/upload?filename=${encodeURIComponent('a dot.png')}`,
        {
          method: 'POST',
          headers: { authorization: `Bearer ${owner.accessToken}`, 'content-type': 'image/png' },
          body: PICTURE,
        },
      );
      expect(upload.status).toBe(200);
      const { content_uri: uri } = (await upload.json()) as { content_uri: string };
      const id = uri.slice('mxc://'.length);
      const get = (rest: string, who?: TestUser) =>
        fetch(`${reader.baseUrl}/_matrix/client/v1/media/${rest}`, {
          headers: who === undefined ? {} : { authorization: `Bearer ${who.accessToken}` },
        });
      expect((await get(`download/${id}`)).status).toBe(401);
      const whole = await get(`download/${id}`, reader);
      expect({ status: whole.status, type: whole.headers.get('content-type') }).toEqual({
        status: 200,
        type: 'image/png',
      });
      expect(whole.headers.get('content-disposition')).toContain('dot.png');
      expect(Buffer.from(await whole.arrayBuffer())).toEqual(PICTURE);
      const small = await get(`thumbnail/${id}?width=32&height=32&method=scale`, reader);
      expect(small.status).toBe(200);
      expect(small.headers.get('content-type')).toMatch(/^image\//);
      expect((await small.arrayBuffer()).byteLength).toBeGreaterThan(0);
      expect((await get(`download/${id.split('/')[0]}/nothing`, reader)).status).toBe(404);
    },
  );

  it.each([0, 1])('tells of its public rooms, also by a word and page by page (%i)', async (side) => {
    const [owner, reader, via] = sides()[side] ?? expect.fail();
    const names = ['Tea house', 'Coffee house', 'Garden'].map((name) => `${name} ${side}`);
    const made: string[] = [];
    for (const name of names) {
      made.push(await create(owner, { preset: 'public_chat', visibility: 'public', name, topic: `about ${name}` }));
    }
    const hidden = await create(owner, { preset: 'public_chat', visibility: 'private', name: `Hidden house ${side}` });
    const list = async (body: Json) => {
      const answer = await reader.call('POST', `/publicRooms?server=${encodeURIComponent(via)}`, body);
      return answer as { chunk: { room_id: string; name?: string }[]; next_batch?: string };
    };
    const idsOf = ({ chunk }: { chunk: { room_id: string }[] }) => chunk.map(({ room_id: id }) => id);
    await eventually(async () => idsOf(await list({}))).toEqual(expect.arrayContaining(made));
    expect(idsOf(await list({}))).not.toContain(hidden);
    const houses = await list({ filter: { generic_search_term: 'house' } });
    expect(houses.chunk.map(({ name }) => name).sort()).toEqual([names[1], names[0]]);
    const paged: string[] = [];
    let since: string | undefined;
    do {
      const page = await list({ limit: 1, ...(since !== undefined && { since }) });
      paged.push(...idsOf(page));
      since = page.next_batch;
    } while (since !== undefined && paged.length < 20);
    expect([...paged].sort()).toEqual([...made].sort());
    // The room is then joined through the server that told of it.
    const roomId = made[0] ?? '';
    await joinBy(reader, roomId, via);
    await say(reader, roomId, 'found you');
    await eventually(() => bodies(owner, roomId)).toContain('found you');
  });

  describe.each(['10', '12'])('in rooms of version %s', (version) => {
    it.each([0, 1])('is knocked at, and lets in, or does not (%i)', async (side) => {
      const [host, guest, via] = sides()[side] ?? expect.fail();
      const knockable = () =>
        create(host, {
          room_version: version,
          name: 'Closed door',
          initial_state: [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }],
        });
      const knock = (roomId: string) => {
        const through = `via=${encodeURIComponent(via)}&server_name=${encodeURIComponent(via)}`;
        return guest.call('POST', `/knock/${encodeURIComponent(roomId)}?${through}`, { reason: 'tea?' });
      };
      const [opened, shut, forgotten] = [await knockable(), await knockable(), await knockable()];
      await expect(joinBy(guest, opened, via)).rejects.toThrow(/403/);
      for (const roomId of [opened, shut, forgotten]) {
        await knock(roomId);
        await eventually(() => membershipOf(host, roomId, guest.userId)).toBe('knock');
        const knocked = async () =>
          JSON.stringify(
            ((await guest.call('GET', '/sync')) as { rooms?: { knock?: Json } }).rooms?.knock?.[roomId] ?? '',
          );
        await eventually(knocked).toContain('Closed door');
      }
      await host.call('POST', path(opened, '/invite'), { user_id: guest.userId });
      const invites = async () =>
        Object.keys(((await guest.call('GET', '/sync')) as { rooms?: { invite?: object } }).rooms?.invite ?? {});
      await eventually(invites).toContain(opened);
      await joinBy(guest, opened, via);
      await eventually(() => membershipOf(host, opened, guest.userId)).toBe('join');
      await host.call('POST', path(shut, '/kick'), { user_id: guest.userId });
      await eventually(() => membershipOf(host, shut, guest.userId)).toBe('leave');
      await guest.call('POST', path(forgotten, '/leave'), {});
      // Synapse takes a knock of its users back for them alone.
      if (guest === sam) await eventually(() => membershipOf(host, forgotten, guest.userId)).toBe('leave');
    });
  });
});
