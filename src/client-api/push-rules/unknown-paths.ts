import { type Endpoint, endpoint, type Method } from '#src/http/endpoint.ts';
import { invalidParam } from '#src/http/errors.ts';

const ROOT = '/_matrix/client/v3/pushrules';
const METHODS: readonly Method[] = ['GET', 'PUT', 'DELETE'];
/** Whatever has the form of a push rule and is none: another scope than `global`, a part too few or too many. */
const PATHS = [
  `${ROOT}/{scope}/{kind}/{ruleId}/{attribute}`,
  `${ROOT}/{scope}/{kind}/{ruleId}`,
  `${ROOT}/{scope}/{kind}/`,
  `${ROOT}/{scope}/{kind}`,
  `${ROOT}/{scope}/`,
  `${ROOT}/{scope}`,
] as const;

/** Where there is something to get, and nothing to change. */
const READ_ONLY_PATHS = [`${ROOT}/global/{kind}/`, `${ROOT}/global/`, `${ROOT}/`] as const;

/**
 * Answers requests for push rules that cannot exist. Clients are used to hear of them with status 400 from other homeservers,
 * where an unknown path has 404 otherwise.
 */
export const unknownPushRulePaths: readonly Endpoint<unknown>[] = [
  ...METHODS.flatMap((method) => PATHS.map((path) => unknownPath(method, path))),
  ...READ_ONLY_PATHS.flatMap((path) => [unknownPath('PUT', path), unknownPath('DELETE', path)]),
];

function unknownPath(method: Method, path: string): Endpoint<unknown> {
  return endpoint({
    method,
    path,
    auth: 'guest',
    rateLimit: 'read',
    handler: () => {
      throw invalidParam('A push rule is at pushrules/global/{kind}/{ruleId}, its parts at …/actions and …/enabled.');
    },
  });
}
