/**
 * What the specification's client-server API has in it: a table of its operations (v1.19), made from the OpenAPI files in its
 * `data/api/client-server`. In `test/fixtures/client-api/operations.json` each has its method and path, who may call it, what
 * kind of body it takes, and the members of the body and the query that it cannot do without.
 */
import { readFileSync } from 'node:fs';
import type { TestAnswer } from '#test/support/application.ts';

/** `optional`: anybody, and a token that is given has to be right. */
export type OperationAuth = 'token' | 'optional' | 'none';

export interface Operation {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** As the specification writes it. */
  readonly path: string;
  readonly auth: OperationAuth;
  /** Missing for no body. */
  readonly body?: 'json' | 'bytes';
  /** Members of the body that have to be there. */
  readonly required?: readonly string[];
  /** Parameters of the query that have to be there. */
  readonly query?: readonly string[];
  readonly deprecated?: boolean;
}

const table: readonly Operation[] = JSON.parse(
  readFileSync(new URL('../fixtures/client-api/operations.json', import.meta.url), 'utf8'),
);

/** Looks at no token: a client whose token has expired has to learn the versions all the same. */
const VERSIONS = '/_matrix/client/versions';

/** Every operation of the client-server API. */
export const operations: readonly Operation[] = table.map((operation) =>
  operation.path === VERSIONS ? { ...operation, auth: 'none' } : operation,
);

const OAUTH = 'no OAuth 2.0: the specification has 404 M_UNRECOGNIZED for it';
const SSO = 'no single sign-on, and no login flow that names it';
const LOGIN_TOKEN = 'optional, and not offered: the capability m.get_login_token says so';
const APPSERVICES = 'no application services';

/** What a server without an optional part of the specification does not know, and why. */
export const NOT_OFFERED: ReadonlyMap<string, string> = new Map([
  ['GET /_matrix/client/v1/auth_metadata', OAUTH],
  ['GET /_matrix/client/v3/login/sso/redirect', SSO],
  ['GET /_matrix/client/v3/login/sso/redirect/{idpId}', SSO],
  ['POST /_matrix/client/v1/login/get_token', LOGIN_TOKEN],
  ['POST /_matrix/client/v1/appservice/{appserviceId}/ping', APPSERVICES],
  ['PUT /_matrix/client/v3/directory/list/appservice/{networkId}/{roomId}', APPSERVICES],
]);

/** Names an operation, as in {@link NOT_OFFERED}. */
export function nameOf({ method, path }: Operation): string {
  return `${method} ${path}`;
}

/** Something for each parameter of a path. */
const PARAMETERS: Readonly<Record<string, string>> = {
  userId: '@alice:localhost',
  roomId: '!nowhere:localhost',
  roomIdOrAlias: '!nowhere:localhost',
  roomAlias: '#nothing:localhost',
  eventId: '$nothing',
  eventType: 'm.room.message',
  stateKey: 'key',
  txnId: 'txn',
  keyName: 'displayname',
  kind: 'override',
  ruleId: '.m.rule.master',
  receiptType: 'm.read',
  serverName: 'localhost',
  mediaId: 'nothing',
  fileName: 'file.txt',
  type: 'org.example.type',
};

/** A plausible request for an operation: things that are well-formed, and mostly not there. */
export function exampleUrl({ path }: Pick<Operation, 'path'>): string {
  return path.replace(/\{(\w+)\}/g, (_whole, name: string) => encodeURIComponent(PARAMETERS[name] ?? 'thing'));
}

/** Status and error code of an answer, as one text that shows in a failure. */
export function errorOf({ status, body }: TestAnswer): string {
  return `${status} ${String(body['errcode'] ?? '')}`.trim();
}
