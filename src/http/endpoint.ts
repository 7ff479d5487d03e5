/**
 * The declaration of an endpoint. One endpoint is one file with one declaration, which says all that the framework has to
 * know: who may call it, how often, what the request looks like, and the handler. {@link registerEndpoints} in
 * register.ts makes routes of them.
 *
 * ```ts
 * export const whoami = endpoint({
 *   method: 'GET',
 *   path: '/_matrix/client/v3/account/whoami',
 *   auth: 'guest',
 *   rateLimit: 'read',
 *   handler: ({ requester }) => ({ user_id: requester.userId, device_id: requester.deviceId, is_guest: requester.isGuest }),
 * });
 * ```
 */
import type { Readable } from 'node:stream';
import type { z } from 'zod';
import type { Lender } from '#projections/accounts/records.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { Logger } from '#src/log/logger.ts';
import type { Capability } from '#src/roles/capabilities.ts';
import type { Standing } from '#src/roles/standing.ts';
import type { RawAnswer } from './answer.ts';
import type { AuditDeclaration, Described } from './guard.ts';
import type { Allowance, RateLimitClass } from './rate-limit.ts';

export type Method = 'GET' | 'PUT' | 'POST' | 'DELETE' | 'PATCH';

/**
 * Who may call: `user`, a registered user; `guest`, also a guest; `admin`, who has a role with the capability that `may` names,
 * as server administrators do; `optional`, anybody, and a token that is given has to be right; `none`, anybody, tokens are not
 * looked at; `server`, another server, which signed the request, its body included (so its body cannot be a `stream`).
 */
export type Auth = 'user' | 'guest' | 'admin' | 'optional' | 'none' | 'server';

/** Who calls, as its access token says. */
export interface Requester {
  readonly userId: string;
  /** Missing for an application service that acts without a device. */
  readonly deviceId: string | undefined;
  /** Names the access token without being it: two requests of one session have the same. */
  readonly tokenId: string;
  readonly isGuest: boolean;
  readonly isAdmin: boolean;
  /** Set where a server administrator acts as the user: then nobody's roles count. */
  readonly isLent?: boolean;
  /** Who that is, and why; undefined where that was not recorded yet when the token was given. */
  readonly lentTo?: Lender | undefined;
  /** Set where the account is suspended: what it may not do at all was refused before the handler. */
  readonly isSuspended?: boolean;
  /** Set where the account is shadow-banned: much that it asks for is only answered as if it were done. */
  readonly isShadowBanned?: boolean;
  /** Set when an application service calls, for itself or for one of its users. */
  readonly appserviceId?: string;
  /** How much this requester may send, where it is not as much as everybody. */
  readonly allowance?: Allowance;
  /** Set when this requester is exempt from rate limits. */
  readonly isUnlimited?: boolean;
  /** The role they act in: set by a scoped token, and for the handlers of endpoints that need a capability. */
  readonly standing?: Standing;
}

/** Which server calls, as its signature proves. */
export interface ServerRequester {
  readonly origin: string;
}

type RequesterOf<A extends Auth> = A extends 'none'
  ? undefined
  : A extends 'server'
    ? ServerRequester
    : A extends 'optional'
      ? Requester | undefined
      : Requester;

/** The names in braces of a path: `/rooms/{roomId}/state` has `roomId`. */
type PathParams<Path extends string> = Path extends `${string}{${infer Name}}${infer Rest}`
  ? { readonly [K in Name]: string } & PathParams<Rest>
  : unknown;

/** The query as it came, percent-decoded; a name that is given several times has a list. */
export type RawQuery = Readonly<Record<string, string | string[] | undefined>>;

/**
 * What the body is: a schema for a JSON object (an empty body counts as `{}`); `json` for any JSON object as it was sent;
 * `stream` for bytes that the handler reads itself. Without a declaration the body is not looked at.
 */
export type BodyDeclaration = z.ZodType | 'json' | 'stream';

type BodyOf<B> = B extends z.ZodType
  ? z.output<B>
  : B extends 'json'
    ? JsonObject
    : B extends 'stream'
      ? Readable
      : undefined;

type SchemaOf<S, Otherwise> = S extends z.ZodType ? z.output<S> : Otherwise;

/** A request as a handler sees it. */
export interface EndpointRequest<
  Params = Readonly<Record<string, string>>,
  Query = RawQuery,
  Body = unknown,
  Who = Requester | ServerRequester | undefined,
> {
  /** Percent-decoded. Parameters that an alias of the path lacks are empty. */
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  readonly requester: Who;
  /** Address of the client; behind a proxy that the configuration trusts, what the proxy says it is. */
  readonly ip: string;
  readonly requestId: string;
  /** Fires when the client has gone away before its answer. Only made when read, so read it where something waits. */
  readonly signal: AbortSignal;
  /** Fires when the server begins to stop: long polls then answer with what they have. */
  readonly closing: AbortSignal;
  /** Writes log lines that carry the request id. */
  readonly log: Logger;
  /** A request header by its name in lower case; undefined when absent. Never the credentials. */
  readonly header: (name: string) => string | undefined;
}

/** What a handler gives: an object that is sent as JSON with status 200, or an answer made by hand. */
export type HandlerResult = object | RawAnswer;

/**
 * An {@link AuditDeclaration} with the types of its endpoint. `describe` says the type of the context that it needs, as the
 * handler does; the endpoint needs both.
 */
interface AuditOf<C, Request> extends Omit<AuditDeclaration, 'describe'> {
  readonly describe?: (request: Request, context: C) => Described | null;
}

/** How a JSON body is read that is too large to be parsed in one go. */
export interface LargeBody {
  /** The object that the bytes are. @throws {MatrixError} `M_NOT_JSON` or `M_BAD_JSON`. */
  read(bytes: Buffer): Promise<JsonObject>;
  /** The canonical JSON of such an object. @throws {CanonicalJsonError} */
  canonical(object: JsonObject): Promise<string>;
}

interface Declaration<
  C,
  Path extends string,
  A extends Auth,
  P extends z.ZodType | undefined,
  Q extends z.ZodType | undefined,
  B extends BodyDeclaration | undefined,
  D,
> {
  readonly method: Method;
  /** As the specification writes it, parameters in braces. A path under `/_matrix/client/v3` is served under `r0` too. */
  readonly path: Path;
  /** Other paths of the same endpoint: older or unstable names, a form without the last parameter. */
  readonly aliases?: readonly string[];
  readonly auth: A;
  readonly rateLimit: RateLimitClass;
  /** Only where a path parameter is more than any string. What does not fit is `M_INVALID_PARAM`. */
  readonly params?: P;
  /** See query.ts for the pieces. What does not fit is `M_INVALID_PARAM`. */
  readonly query?: Q;
  /** A missing member is `M_MISSING_PARAM`, any other misfit `M_BAD_JSON`. */
  readonly body?: B;
  /** Most bytes of a body; default `MAX_JSON_BODY_BYTES`. Not applied to a `stream`. */
  readonly bodyLimitBytes?: number;
  /** How a body beyond `MAX_JSON_BODY_BYTES` is read; needed where servers may send such. */
  readonly largeBody?: LargeBody;
  /** Whether a locked account may call it (only logging out, by the specification). Default false. */
  readonly allowLocked?: boolean;
  /** What of each request is on record before its handler runs. */
  readonly audit?: AuditOf<
    D,
    EndpointRequest<SchemaOf<P, PathParams<Path>>, SchemaOf<Q, RawQuery>, BodyOf<B>, RequesterOf<A>>
  >;
  /** Throws `MatrixError` for whatever the client has to know. */
  handler(
    request: EndpointRequest<SchemaOf<P, PathParams<Path>>, SchemaOf<Q, RawQuery>, BodyOf<B>, RequesterOf<A>>,
    context: C,
  ): HandlerResult | Promise<HandlerResult>;
}

/** What an endpoint that needs a role declares beside the rest: the capability, and what is on record of its requests. */
type Guarded<A extends Auth> = A extends 'admin'
  ? { readonly may: Capability; readonly audit: object }
  : { readonly may?: never };

/** A declared endpoint, whatever the types of its request. `C` is what the handler needs of the application. */
export interface Endpoint<C> {
  readonly method: Method;
  readonly path: string;
  readonly aliases?: readonly string[];
  readonly auth: Auth;
  readonly rateLimit: RateLimitClass;
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  readonly body?: BodyDeclaration;
  readonly bodyLimitBytes?: number;
  readonly largeBody?: LargeBody;
  readonly allowLocked?: boolean;
  /** The capability that it needs; set exactly where `auth` is `admin`. */
  readonly may?: Capability;
  readonly audit?: AuditDeclaration;
  readonly handler: (
    request: EndpointRequest<never, never, never, never>,
    context: C,
  ) => HandlerResult | Promise<HandlerResult>;
}

/**
 * Declares an endpoint. The type of the context is the one that the handler names for its second parameter; endpoints with
 * different contexts can be registered together with one object that is all of them.
 */
export function endpoint<
  C,
  const Path extends string,
  A extends Auth,
  P extends z.ZodType | undefined = undefined,
  Q extends z.ZodType | undefined = undefined,
  const B extends BodyDeclaration | undefined = undefined,
  D = unknown,
>(declaration: Declaration<C, Path, A, P, Q, B, D> & Guarded<A>): Endpoint<C & D> {
  return declaration as unknown as Endpoint<C & D>;
}

/** What `authenticate` may want to know of a request beside the token. */
export interface AuthenticationRequest {
  readonly endpoint: Pick<Endpoint<never>, 'auth' | 'allowLocked' | 'path' | 'method'>;
  /** The raw query: an application service names the user it acts for there. */
  readonly query: RawQuery;
  readonly ip: string;
  readonly userAgent: string | undefined;
}

/**
 * Who an access token belongs to. Throws `MatrixError`: `M_UNKNOWN_TOKEN` (with `soft_logout`), `M_USER_LOCKED`, ….
 * Best answered without a promise, since every request waits for it.
 */
export type Authenticate = (token: string, request: AuthenticationRequest) => Requester | Promise<Requester>;

/** The body of a request of another server. */
export interface SignedContent {
  /** As it was sent, which nearly always is what was signed. */
  readonly text: string;
  /** What was signed, where it was sent in another form: canonical JSON. */
  canonical(): string | Promise<string>;
  /** Whether finding that out is so much work that it is not done for everybody. */
  readonly isLarge: boolean;
}

/** A request of another server, as its signature covers it. */
export interface SignedRequest {
  readonly method: string;
  /** Path and query as they were sent. */
  readonly uri: string;
  /** Undefined for a request without a body. */
  readonly content: SignedContent | undefined;
}

/** A request of which only the head is here. */
export interface BegunRequest {
  /** Resolves when the keys are known that it says it is signed with; undefined where they are. Rejects if they are not to be had. */
  readonly ready: Promise<void> | undefined;
  /** Verifies the request once its body is there. */
  verify(request: SignedRequest): Promise<ServerRequester>;
}

/** Finds out which server sent a request, and keeps one server from taking all there is. */
export interface ServerAuthenticator {
  /** Looks at the Authorization headers before the body is read. All of it throws `MatrixError`, `M_UNAUTHORIZED` as a rule. */
  begin(authorization: readonly string[]): BegunRequest;
  /** Counts a request as under way, until the function that it gives is called. Throws `M_LIMIT_EXCEEDED` if there are too many. */
  enter(origin: string): () => void;
}
