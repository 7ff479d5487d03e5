/**
 * Holds answers of the client-server API against the schemas of the specification (v1.19): `test/fixtures/client-api/answers.json`,
 * which is made from its OpenAPI files by `make-answers.mjs` beside it. {@link wrongIn} says what is wrong with an answer.
 */
import { readFileSync } from 'node:fs';
import { Ajv2020, type ErrorObject, type SchemaObject, type ValidateFunction } from 'ajv/dist/2020.js';

type Answers = Readonly<Record<string, Readonly<Record<string, SchemaObject>>>>;

const { $defs, answers }: { readonly $defs: Readonly<Record<string, SchemaObject>>; readonly answers: Answers } =
  JSON.parse(readFileSync(new URL('../fixtures/client-api/answers.json', import.meta.url), 'utf8'));

const ajv = new Ajv2020({ strict: false, allErrors: true });
/** https://spec.matrix.org/v1.19/appendices/#identifier-grammar, as far as it matters to clients */
const FORMATS = {
  'mx-user-id': /^@[^:]*:.+$/s,
  'mx-room-id': /^!.+$/s,
  'mx-room-alias': /^#[^:]*:.+$/s,
  'mx-event-id': /^\$.+$/s,
  'mx-server-name': /^[\w.:[\]-]+$/,
  'mx-mxc-uri': /^mxc:\/\/[^/]+\/[\w-]+$/,
  'mx-unpadded-base64': /^[A-Za-z0-9+/]*$/,
  'mx-urlsafe-unpadded-base64': /^[A-Za-z0-9_-]*$/,
  uri: /^[a-z][a-z0-9+.-]*:/i,
  email: /@/,
  int64: true,
  float: true,
} as const;
for (const [name, format] of Object.entries(FORMATS)) ajv.addFormat(name, format);

/** Any error; and what asks for another stage of interactive authentication, which is one only after a stage that failed. */
const MATRIX_ERROR = {
  type: 'object',
  properties: { errcode: { type: 'string', pattern: '^[A-Z][A-Z0-9_.]*$' }, error: { type: 'string' } },
  required: ['errcode', 'error'],
} as const;
const INTERACTIVE = { $ref: '#/$defs/api_client-server_definitions_auth_response' };
const ERRORS: Readonly<Record<number, SchemaObject>> = {
  401: { anyOf: [MATRIX_ERROR, INTERACTIVE] },
  429: { ...MATRIX_ERROR, properties: { ...MATRIX_ERROR.properties, retry_after_ms: { type: 'integer', minimum: 0 } } },
};

/** Where the server answers otherwise than the schemas say: as clients and other servers have it. */
const EXCEPTIONS: readonly { readonly operation: string; readonly at: RegExp; readonly why: string }[] = [
  {
    operation: 'GET /_matrix/client/v3/events',
    at: /^\/chunk\/\d+$/,
    why: 'Typing, receipts, presence and account data are in it too, and are no room events.',
  },
  {
    operation: 'GET /_matrix/client/v3/voip/turnServer',
    at: /^$/,
    why: 'A server that has none to offer says so with an empty object.',
  },
  {
    operation: 'GET /_matrix/client/v3/rooms/{roomId}/joined_members',
    at: /^\/joined\/[^/]*\/(display_name|avatar_url)$/,
    why: 'Members without a name or an avatar have null there, since clients look for both.',
  },
  {
    operation: 'POST /_matrix/client/v3/keys/signatures/upload',
    at: /^\/failures$/,
    why: 'What failed is named as the client named it, which need be no user id.',
  },
  {
    operation: 'GET /_matrix/client/v3/room_keys/',
    at: /(^|\/)(auth_data|session_data)$/,
    why: 'It is as the client stored it, which need be no object: the server does not look into it.',
  },
];

/** An operation: the parts of its path, undefined for a parameter. */
interface Route {
  readonly name: string;
  readonly parts: readonly (string | undefined)[];
}

const routes = new Map<string, Route[]>();
for (const [name, ofStatus] of Object.entries(answers)) {
  if (ofStatus['200'] === undefined) continue;
  const [method = '', path = ''] = name.split(' ');
  const parts = path.split('/').map((part) => (part.startsWith('{') ? undefined : part));
  const key = `${method} ${parts.length}`;
  routes.set(key, [...(routes.get(key) ?? []), { name, parts }]);
}

/** The operations whose answers are known, as `METHOD path`. */
export const checkedOperations: readonly string[] = [...routes.values()].flat().map(({ name }) => name);

/** A client may ask for parts of events, for events as servers have them, or (MSC4140) for an event to be sent later. */
const OTHER_FORMS = /event_fields|event_format|org\.matrix\.msc4140\.delay/;

/** An answer to a request; `url` with its query. */
export interface CheckedAnswer {
  readonly method: string;
  readonly url: string;
  readonly status: number;
  /** Parsed. */
  readonly body: unknown;
}

/** What is wrong with an answer, as a sentence; undefined if nothing is, or if it is of no operation that is known here. */
export function wrongIn({ method, url, status, body }: CheckedAnswer): string | undefined {
  const [path = '', query = ''] = url.split('?');
  const operation = status === 200 ? operationOf(method, path) : undefined;
  const isValid = status >= 400 ? errorsOf(status) : operation === undefined ? undefined : answersOf(operation);
  if (isValid === undefined || (status === 200 && OTHER_FORMS.test(decoded(query)))) return undefined;
  if (isValid(body)) return undefined;
  const wrong = (isValid.errors ?? []).filter((error) => !isException(operation, error));
  if (wrong.length === 0) return undefined;
  return `${method} ${path} was answered with ${status}, and in it: ${wrong.map(sentenceOf).join('; ')}`;
}

function isException(operation: string | undefined, { instancePath }: ErrorObject): boolean {
  return EXCEPTIONS.some((one) => operation?.startsWith(one.operation) === true && one.at.test(instancePath));
}

function sentenceOf({ instancePath, message, params }: ErrorObject): string {
  return `${instancePath || 'the answer'} ${message} (${JSON.stringify(params)})`;
}

/** A query as text; what is no percent-encoding stays as it is, since tests send that too. */
function decoded(query: string): string {
  return [...new URLSearchParams(query)].flat().join(' ');
}

const compiled = new Map<string, ValidateFunction>();

/** Compiles a schema when it is first needed: no test needs all of them. */
function validator(name: string, schema: SchemaObject): ValidateFunction {
  const known = compiled.get(name);
  if (known !== undefined) return known;
  const made = ajv.compile({ ...schema, $defs });
  compiled.set(name, made);
  return made;
}

function errorsOf(status: number): ValidateFunction {
  return validator(String(status), ERRORS[status] ?? MATRIX_ERROR);
}

function answersOf(operation: string): ValidateFunction | undefined {
  const schema = answers[operation]?.['200'];
  return schema && validator(operation, schema);
}

function operationOf(method: string, path: string): string | undefined {
  const parts = path
    .replace(/^\/_matrix\/(client|media)\/(r0|v1(?=\/(config|upload|preview_url)))\//, '/_matrix/$1/v3/')
    .split('/');
  const candidates = routes.get(`${method} ${parts.length}`) ?? [];
  const fits = candidates.filter((route) =>
    route.parts.every((part, index) => (part === undefined ? parts[index] !== '' : part === parts[index])),
  );
  // The one with the fewest parameters is meant.
  const parameters = (route: Route): number => route.parts.filter((part) => part === undefined).length;
  return fits.sort((a, b) => parameters(a) - parameters(b))[0]?.name;
}
