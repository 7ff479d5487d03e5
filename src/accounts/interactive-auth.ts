/**
 * User-interactive authentication: the client completes the stages of a flow, one request at a time, and the last one of
 * them does what it was all for.
 * https://spec.matrix.org/v1.19/client-server-api/#user-interactive-authentication-api
 *
 * Sessions are kept in memory only. After a restart a client gets a new one and begins again.
 */
import { hash } from 'node:crypto';
import { jsonAnswer, type RawAnswer } from '#src/http/answer.ts';
import { forbidden } from '#src/http/errors.ts';
import { newOpaqueId, type RandomBytes } from './secrets.ts';

/** Sessions at once; at the bound the oldest goes. */
export const MAX_INTERACTIVE_SESSIONS = 10_000;
/** How long somebody has to complete a session. */
export const INTERACTIVE_SESSION_LIFETIME_MS = 30 * 60 * 1000;

/** What a client sends under `auth`. */
export interface AuthData {
  readonly type?: string | undefined;
  readonly session?: string | undefined;
  readonly [key: string]: unknown;
}

/** Why an attempt at a stage failed; the client may try again. */
export interface FailedAttempt {
  readonly errcode: string;
  readonly error: string;
}

/**
 * Checks one attempt at a stage. Gives what was wrong, or undefined when the stage is complete. Throws `MatrixError` for what
 * is to be answered as it is, such as a parameter that is missing.
 */
export type Stage = (auth: AuthData, session: InteractiveSession) => Promise<FailedAttempt | undefined>;

/** A request that needs authentication. */
export interface InteractiveRequest<Body extends object = object> {
  /** Method and path: a session is good for one only. */
  readonly operation: string;
  /** The body without `auth`. */
  readonly body: Body;
  /**
   * Whether the body has to stay the same from stage to stage (`bound`), or what was said in earlier requests counts until
   * it is said anew (`remembered`). Only registering remembers: some clients ask for the flows with an empty body, others
   * say what they want once and then send `auth` alone. What is remembered has to be small: see `precheck`.
   */
  readonly bodyIs: 'bound' | 'remembered';
  readonly auth: AuthData | undefined;
  /** Who asks, where somebody is logged in: a session belongs to them. */
  readonly userId: string | undefined;
  /** Each a list of stages in order. */
  readonly flows: readonly (readonly string[])[];
  readonly stages: Readonly<Record<string, Stage>>;
  /**
   * Throws for what cannot be done, and for a body that is too large to be kept, before anybody goes through the stages. Not
   * asked when it was done already.
   */
  readonly precheck?: () => void;
}

/** A session, as stages and the work at the end see it. */
export interface InteractiveSession {
  readonly id: string;
  /** What stages leave for the work at the end. */
  readonly found: Map<string, string>;
  /** Runs once when the session is over, however it ends. */
  onEnd(release: () => void): void;
}

class Session implements InteractiveSession {
  readonly id: string;
  readonly operation: string;
  /** Its digest, where it is bound. */
  readonly boundBody: string | undefined;
  /** What was said so far, where it is remembered. */
  remembered: object = {};
  readonly userId: string | undefined;
  readonly expiresAtMs: number;
  readonly completed: string[] = [];
  readonly found = new Map<string, string>();
  /** Whether a request is being served with it. */
  isBusy = false;
  /** What came of it, for a client that did not hear the answer, and of which body. */
  outcome: { readonly body: string; readonly answer: object } | undefined;
  readonly #releases: (() => void)[] = [];

  constructor(id: string, request: InteractiveRequest, expiresAtMs: number) {
    this.id = id;
    this.operation = request.operation;
    this.boundBody = request.bodyIs === 'bound' ? bodyDigest(request.body) : undefined;
    this.userId = request.userId;
    this.expiresAtMs = expiresAtMs;
  }

  onEnd(release: () => void): void {
    this.#releases.push(release);
  }

  end(): void {
    for (const release of this.#releases.splice(0)) release();
  }
}

export interface InteractiveAuthOptions {
  readonly clock: () => number;
  readonly random: RandomBytes;
  readonly maxSessions?: number;
}

export class InteractiveAuth {
  /** In the order of making, which is the order of expiry. */
  readonly #sessions = new Map<string, Session>();
  readonly #clock: () => number;
  readonly #random: RandomBytes;
  readonly #maxSessions: number;

  constructor({ clock, random, maxSessions = MAX_INTERACTIVE_SESSIONS }: InteractiveAuthOptions) {
    this.#clock = clock;
    this.#random = random;
    this.#maxSessions = maxSessions;
  }

  /**
   * Takes the request one stage further. When that was the last stage, does the work and gives its answer; otherwise the
   * 401 that says what is missing. The work gets the body, with what is remembered. If the work throws, the stages stay complete and the client may ask again.
   * Throws `M_FORBIDDEN` when the session belongs to something else.
   */
  async run<Body extends object, Answer extends object>(
    request: InteractiveRequest<Body>,
    work: (session: InteractiveSession, body: Body) => Promise<Answer>,
  ): Promise<Answer | RawAnswer> {
    this.#dropExpired();
    const { auth } = request;
    const known = auth?.session === undefined ? undefined : this.#sessions.get(auth.session);
    if (known?.outcome === undefined) request.precheck?.();
    if (auth === undefined || (auth.type === undefined && auth.session === undefined)) {
      return challenge(request, this.#begin(request));
    }
    const session = auth.session === undefined ? this.#begin(request) : known;
    if (session === undefined) {
      return challenge(request, this.#begin(request), {
        errcode: 'M_UNAUTHORIZED',
        error: 'This authentication session is over. Please start again.',
      });
    }
    checkSameRequest(session, request);
    if (session.outcome !== undefined) return this.#answerAgain(session, request);
    if (session.isBusy) throw forbidden('Another request of this authentication session is being served.');
    session.isBusy = true;
    try {
      const body = bodyOf(session, request);
      const failed = await attempt(session, request, auth);
      if (failed !== undefined || !isComplete(session, request)) return challenge(request, session, failed);
      const answer = await work(session, body);
      session.outcome = { body: bodyDigest(request.body), answer };
      session.remembered = {};
      session.end();
      return answer;
    } finally {
      session.isBusy = false;
    }
  }

  /** Sessions held. */
  get size(): number {
    return this.#sessions.size;
  }

  #begin(request: InteractiveRequest): Session {
    if (this.#sessions.size >= this.#maxSessions) this.#dropOldest();
    const session = new Session(newOpaqueId(this.#random), request, this.#clock() + INTERACTIVE_SESSION_LIFETIME_MS);
    if (request.bodyIs === 'remembered') session.remembered = request.body;
    this.#sessions.set(session.id, session);
    return session;
  }

  /** A client that asks again for what was done gets the answer it missed; one that asks for more begins anew. */
  #answerAgain<Answer extends object>(session: Session, request: InteractiveRequest): Answer | RawAnswer {
    if (session.outcome?.body === bodyDigest(request.body)) return session.outcome.answer as Answer;
    return challenge(request, this.#begin(request));
  }

  #dropExpired(): void {
    const nowMs = this.#clock();
    for (const session of this.#sessions.values()) {
      if (session.expiresAtMs > nowMs) return;
      this.#drop(session);
    }
  }

  #dropOldest(): void {
    for (const session of this.#sessions.values()) {
      this.#drop(session);
      return;
    }
  }

  #drop(session: Session): void {
    this.#sessions.delete(session.id);
    session.end();
  }
}

function checkSameRequest(session: Session, request: InteractiveRequest): void {
  const isSame =
    session.operation === request.operation &&
    session.userId === request.userId &&
    (session.boundBody === undefined || session.boundBody === bodyDigest(request.body));
  if (!isSame) throw forbidden('This authentication session was begun for another request.');
}

/** The body that the work is about: this request's, laid over what was said before. */
function bodyOf<Body extends object>(session: Session, { body, bodyIs }: InteractiveRequest<Body>): Body {
  if (bodyIs === 'bound') return body;
  const said = Object.entries(body).filter(([, value]) => value !== undefined);
  const merged = { ...session.remembered, ...Object.fromEntries(said) } as Body;
  session.remembered = merged;
  return merged;
}

async function attempt(
  session: Session,
  request: InteractiveRequest,
  auth: AuthData,
): Promise<FailedAttempt | undefined> {
  const { type } = auth;
  // Without a type the client asks whether a stage was completed elsewhere; a stage that is complete is not tried again.
  if (type === undefined || session.completed.includes(type)) return undefined;
  const stage = Object.hasOwn(request.stages, type) ? request.stages[type] : undefined;
  if (stage === undefined || !isNext(session, request, type)) {
    return { errcode: 'M_UNAUTHORIZED', error: 'This is not the next stage of any of the flows.' };
  }
  const failed = await stage(auth, session);
  if (failed === undefined) session.completed.push(type);
  return failed;
}

function isNext(session: Session, { flows }: InteractiveRequest, type: string): boolean {
  const { completed } = session;
  return flows.some(
    (flow) => flow[completed.length] === type && completed.every((stage, index) => flow[index] === stage),
  );
}

function isComplete(session: Session, { flows }: InteractiveRequest): boolean {
  return flows.some((flow) => flow.every((stage, index) => session.completed[index] === stage));
}

function challenge(request: InteractiveRequest, session: Session, failed?: FailedAttempt): RawAnswer {
  return jsonAnswer(401, {
    ...failed,
    ...(request.auth !== undefined && { completed: session.completed }),
    flows: request.flows.map((stages) => ({ stages })),
    params: {},
    session: session.id,
  });
}

/** Bodies are validated by one schema, so equal bodies have equal text. */
function bodyDigest(body: object): string {
  return hash('sha256', JSON.stringify(body), 'base64url');
}
