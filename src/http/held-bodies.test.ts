import { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { expect, it } from 'vitest';
import { HeldBodies, MIN_BYTES_PER_SECOND, PATIENCE_MS, SMALL_BODY_BYTES } from './held-bodies.ts';

/** A request whose body comes as the test wishes. */
class Sending extends EventEmitter {
  readonly response = new EventEmitter();
  isBroken = false;

  constructor(held: HeldBodies) {
    super();
    held.watch(this as unknown as IncomingMessage, this.response);
  }

  send(bytes: number): this {
    if (!this.isBroken) this.emit('data', Buffer.alloc(bytes));
    return this;
  }

  /** As node does it: the response closes, too. */
  destroy(): void {
    this.isBroken = true;
    this.response.emit('close');
  }
}

function world(maxBytes = 10 * SMALL_BODY_BYTES) {
  let nowMs = 0;
  const held = new HeldBodies({ now: () => nowMs, maxBytes });
  return {
    held,
    advance: (ms: number) => {
      nowMs += ms;
      held.sweep();
    },
  };
}

it('what comes too slowly is broken off, what comes fast enough is not, however long it takes', () => {
  const { held, advance } = world(Number.MAX_SAFE_INTEGER);
  const slow = new Sending(held);
  const steady = new Sending(held);
  const waiting = new Sending(held).send(1);
  waiting.emit('end');
  for (let second = 0; second < 120; second += 1) {
    slow.send(1);
    steady.send(MIN_BYTES_PER_SECOND);
    advance(1000);
    expect(slow.isBroken).toBe((second + 1) * 1000 > PATIENCE_MS);
  }
  // Somebody whose body is here may wait for an answer as long as they like.
  expect([steady.isBroken, waiting.isBroken]).toEqual([false, false]);
  steady.emit('end');
});

it('where there is too much, those go that are on their way for longest', () => {
  const { held } = world();
  const first = new Sending(held).send(4 * SMALL_BODY_BYTES);
  const second = new Sending(held).send(4 * SMALL_BODY_BYTES);
  const third = new Sending(held).send(2 * SMALL_BODY_BYTES);
  expect([first, second, third].map(({ isBroken }) => isBroken)).toEqual([false, false, false]);
  third.send(1);
  expect([first, second, third].map(({ isBroken }) => isBroken)).toEqual([true, false, false]);
  expect(held.heldBytes).toBe(6 * SMALL_BODY_BYTES + 1);
});

it('what is here counts until it is answered, and small bodies come in all the same', () => {
  const { held } = world();
  const here = new Sending(held).send(10 * SMALL_BODY_BYTES);
  here.emit('end');
  const small = new Sending(held).send(SMALL_BODY_BYTES);
  const large = new Sending(held).send(SMALL_BODY_BYTES + 1);
  expect([here, small, large].map(({ isBroken }) => isBroken)).toEqual([false, false, true]);
  for (const sending of [here, small]) sending.response.emit('close');
  expect(held.heldBytes).toBe(0);
});
