import type { JsonObject } from '#protocol/pdu.ts';
import { BEFORE_FIRST, type Position } from '#streams/event-log.ts';
import { type Bus, type BusFollower, BusFullError, type BusListener, type Topic, type Topics } from './bus.ts';
import { LocalClaims } from './local-claims.ts';
import { type Claim, type ClaimListener, type Work, workTopic } from './work.ts';

/**
 * Most (subscription, topic) pairs at a time: some 60 bytes each. Room for 2,000 long polls of users in 1,000 rooms, or
 * 40,000 of users in 50.
 */
export const MAX_BUS_INTERESTS = 2_000_000;

/** One call of `subscribe`. */
interface Interest {
  readonly listener: BusListener;
  /** The publication that called the listener last, so that one which names several of its topics calls it once. */
  seenPublication: number;
}

export interface LocalBusOptions {
  /** Default {@link MAX_BUS_INTERESTS}. */
  readonly maxInterests?: number;
  /** Told of what a listener threw; the other listeners are called all the same. */
  readonly onListenerError?: (error: unknown) => void;
}

/** The bus of a single node: a map from topic to those who wait, in this process, and who here has which piece of work. */
export class LocalBus implements Bus {
  /** One interest by itself, several as a set: most of a user's many rooms have nobody else waiting. */
  readonly #byTopic = new Map<string, Interest | Set<Interest>>();
  readonly #followers = new Set<BusFollower>();
  readonly #claims = new LocalClaims((work) => this.publish([workTopic(work)], BEFORE_FIRST));
  readonly #maxInterests: number;
  readonly #onListenerError: (error: unknown) => void;
  #interests = 0;
  #publication = 0;

  constructor(options: LocalBusOptions = {}) {
    this.#maxInterests = options.maxInterests ?? MAX_BUS_INTERESTS;
    this.#onListenerError = options.onListenerError ?? (() => undefined);
  }

  /** (subscription, topic) pairs held now; a gauge for metrics. */
  get interests(): number {
    return this.#interests;
  }

  subscribe(topics: Iterable<Topic>, listener: BusListener): () => void {
    const interest: Interest = { listener, seenPublication: this.#publication };
    const joined: Topic[] = [];
    const unsubscribe = (): void => {
      for (const topic of joined) this.#leave(topic, interest);
      joined.length = 0;
    };
    for (const topic of topics) {
      if (this.#interests >= this.#maxInterests) {
        unsubscribe();
        throw new BusFullError(`this node holds ${this.#maxInterests} bus subscriptions already`);
      }
      if (this.#join(topic, interest)) joined.push(topic);
    }
    return unsubscribe;
  }

  follow(follower: BusFollower): () => void {
    // Each call is one of its own, whoever it is for.
    const one: BusFollower = (topics, position) => follower(topics, position);
    this.#followers.add(one);
    return () => this.#followers.delete(one);
  }

  publish(topics: Topics, position: Position): void {
    for (const follower of this.#followers) this.#try(() => follower(topics, position));
    this.#publication += 1;
    const publication = this.#publication;
    for (const topic of topics) {
      const found = this.#byTopic.get(topic);
      if (found === undefined) continue;
      if (!(found instanceof Set)) this.#call(found, publication, position);
      // A listener that subscribes again from within carries this publication's number, and so is not called by it.
      else for (const interest of found) this.#call(interest, publication, position);
    }
  }

  claim(work: Work, listener: ClaimListener = () => undefined): Promise<Claim | undefined> {
    return Promise.resolve(this.#claims.claim(work, (message) => this.#try(() => listener(message))));
  }

  tell(work: Work, message: JsonObject): Promise<boolean> {
    return Promise.resolve(this.#claims.tell(work, message));
  }

  #call(interest: Interest, publication: number, position: Position): void {
    if (interest.seenPublication >= publication) return;
    interest.seenPublication = publication;
    try {
      interest.listener(position);
    } catch (error) {
      this.#onListenerError(error);
    }
  }

  #try(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#onListenerError(error);
    }
  }

  #join(topic: string, interest: Interest): boolean {
    const found = this.#byTopic.get(topic);
    if (found === undefined) this.#byTopic.set(topic, interest);
    else if (found === interest) return false;
    else if (!(found instanceof Set)) this.#byTopic.set(topic, new Set([found, interest]));
    else if (found.has(interest)) return false;
    else found.add(interest);
    this.#interests += 1;
    return true;
  }

  #leave(topic: string, interest: Interest): void {
    const found = this.#byTopic.get(topic);
    if (found === interest) {
      this.#byTopic.delete(topic);
    } else {
      if (!(found instanceof Set) || !found.delete(interest)) return;
      if (found.size === 0) this.#byTopic.delete(topic);
    }
    this.#interests -= 1;
  }
}
