import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '#src/log/logger.ts';
import { Connection, type ConnectionState, type SentRoom, UP_TO_DATE } from './connection.ts';
import { type ConnectionName, ConnectionStore, MAX_CONNECTIONS_OF_DEVICE } from './connection-store.ts';

function sent(known: number, required = '[]'): SentRoom {
  return { upTo: UP_TO_DATE, known, required, isDirect: false, membership: 'join' };
}

function begun(id = 'c1'): ConnectionState {
  return { id, generation: 0, parent: undefined, rooms: new Map(), undo: new Map() };
}

describe('the memory of a connection', () => {
  it('goes back to what a client knows that has not got the last answer', () => {
    const connection = new Connection(begun());
    connection.commit(new Map([[1, sent(1)]]));
    connection.commit(
      new Map([
        [1, sent(20)],
        [2, sent(1)],
      ]),
    );
    expect(connection.state.generation).toBe(2);
    expect(connection.goTo(1)).toBe(true);
    expect([...connection.state.rooms]).toEqual([[1, sent(1)]]);
  });

  it('knows no other generations, and gives none of them out again', () => {
    const connection = new Connection(begun());
    for (const known of [1, 2, 3]) connection.commit(new Map([[1, sent(known)]]));
    expect(connection.goTo(1)).toBe(false);
    expect(connection.goTo(4)).toBe(false);
    expect(connection.goTo(2)).toBe(true);
    expect(connection.goTo(3)).toBe(false);
    connection.commit(new Map([[1, sent(9)]]));
    expect(connection.state.generation).toBe(4);
    expect(connection.goTo(3)).toBe(false);
  });

  it('stays as it is where an answer changes nothing', () => {
    const connection = new Connection(begun());
    connection.commit(new Map([[1, sent(1)]]));
    connection.commit(new Map());
    expect(connection.state.generation).toBe(1);
    expect(connection.goTo(0)).toBe(true);
    expect(connection.state.rooms.size).toBe(0);
  });

  it('ends the request before when another one comes', () => {
    const connection = new Connection(begun());
    const first = connection.begin();
    const second = connection.begin();
    expect([first.aborted, second.aborted]).toEqual([true, false]);
  });
});

describe('the store of connections', () => {
  let dir: string;
  const name: ConnectionName = { userId: '@alice:localhost', deviceKey: 'A', connId: 'main' };

  beforeEach(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'stele-connections-'));
  });

  afterEach(async () => {
    await rm(dir, { recursive: true, force: true });
  });

  it('gives a connection back after it was closed, the way back included', async () => {
    const connection = new Connection(begun());
    connection.commit(new Map([[1, sent(1, '["one"]')]]));
    connection.commit(
      new Map([
        [1, { ...sent(20, '["two"]'), upTo: 77, isDirect: true, membership: 'leave' }],
        [2, sent(1, '["one"]')],
      ]),
    );
    const store = new ConnectionStore({ dir, logger: silentLog() });
    store.save(name, connection.state);
    await store.close();
    const again = new ConnectionStore({ dir, logger: silentLog() });
    expect(again.load(name)).toEqual(connection.state);
    const other = new Connection(again.load(name) ?? begun());
    expect(other.goTo(1)).toBe(true);
    expect([...other.state.rooms]).toEqual([[1, sent(1, '["one"]')]]);
    expect(again.load({ ...name, connId: 'other' })).toBeUndefined();
    expect(again.load({ ...name, deviceKey: 'B' })).toBeUndefined();
    await again.close();
  });

  it('keeps so many connections of a device, and drops the one that was used longest ago', async () => {
    const store = new ConnectionStore({ dir, logger: silentLog() });
    const named = (index: number): ConnectionName => ({ ...name, connId: String(index) });
    for (let index = 0; index <= MAX_CONNECTIONS_OF_DEVICE; index++) {
      store.save(named(index), begun(`c${index}`));
      if (index > 0) store.load(named(0));
    }
    await store.close();
    const again = new ConnectionStore({ dir, logger: silentLog() });
    expect(again.load(named(0))?.id).toBe('c0');
    expect(again.load(named(1))).toBeUndefined();
    expect(again.load(named(MAX_CONNECTIONS_OF_DEVICE))?.id).toBe(`c${MAX_CONNECTIONS_OF_DEVICE}`);
    await again.close();
  });

  it('goes on without keeping anything where it cannot', async () => {
    const store = new ConnectionStore({ dir: path.join(dir, 'no\0folder'), logger: silentLog() });
    store.save(name, begun());
    expect(store.load(name)).toBeUndefined();
    await store.close();
  });
});
