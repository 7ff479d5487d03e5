import { z } from 'zod';
import { endpoint } from '#src/http/endpoint.ts';
import { badJson, invalidParam, MatrixError } from '#src/http/errors.ts';
import { queryText } from '#src/http/query.ts';
import type { PushRuleChanges, RuleKind, UserRule } from '#src/push/rules.ts';
import { countOfRules, type RulePlace, UnknownRule, withRule } from '#src/push/user-rules.ts';
import { jsonObjectSchema } from '../schemas.ts';
import type { UserStreamContext } from '../user-stream.ts';
import { actionsSchema } from './actions.ts';
import { changeRules, requireKind } from './stored-rules.ts';

/** Most rules of one user; each is matched against every event that the user gets. */
export const MAX_USER_RULES = 2000;
/** Longest id of a rule, in bytes: room and user ids are ids of rules. */
const MAX_RULE_ID_BYTES = 255;
const MAX_CONDITIONS = 32;
const MAX_PATTERN_LENGTH = 1024;

/** Conditions that this server does not know are kept: clients may know them. */
const conditionSchema = jsonObjectSchema.refine(({ kind }) => typeof kind === 'string', 'A condition needs a kind.');

const ruleBody = z.object({
  actions: actionsSchema,
  conditions: z.array(conditionSchema).max(MAX_CONDITIONS).optional(),
  pattern: z.string().max(MAX_PATTERN_LENGTH).optional(),
});

/**
 * `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}`: makes a push rule, or changes one that the user made.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3pushrulesglobalkindruleid
 */
export const putPushRule = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/pushrules/global/{kind}/{ruleId}',
  auth: 'guest',
  rateLimit: 'write',
  query: z.object({ before: queryText().optional(), after: queryText().optional() }),
  body: ruleBody,
  handler: async ({ params, query, body, requester }, context: UserStreamContext) => {
    const kind = requireKind(params.kind);
    checkRuleId(params.ruleId);
    const rule = ruleOfBody(kind, params.ruleId, body);
    await changeRules(context, requester.userId, (changes) => placed(changes, kind, rule, query));
    return {};
  },
});

function placed(changes: PushRuleChanges, kind: RuleKind, rule: Omit<UserRule, 'enabled'>, place: RulePlace) {
  let after: PushRuleChanges;
  try {
    after = withRule(changes, kind, rule, place);
  } catch (error) {
    if (!(error instanceof UnknownRule)) throw error;
    throw new MatrixError('M_UNKNOWN', `before or after names no rule of yours: ${error.ruleId}`, { status: 400 });
  }
  if (countOfRules(after) > MAX_USER_RULES) {
    throw new MatrixError('M_RESOURCE_LIMIT_EXCEEDED', `A user can have at most ${MAX_USER_RULES} push rules.`);
  }
  return after;
}

function ruleOfBody(kind: RuleKind, ruleId: string, body: z.output<typeof ruleBody>): Omit<UserRule, 'enabled'> {
  const rule = { rule_id: ruleId, actions: body.actions };
  switch (kind) {
    case 'override':
    case 'underride':
      return { ...rule, conditions: body.conditions ?? [] };
    case 'content':
      if (body.pattern === undefined) throw badJson('A content rule needs a pattern.');
      return { ...rule, pattern: body.pattern };
    case 'room':
    case 'sender':
      return rule;
    case 'postcontent':
      throw invalidParam('Rules of this kind are for the server alone.');
  }
}

function checkRuleId(ruleId: string): void {
  if (ruleId === '' || Buffer.byteLength(ruleId) > MAX_RULE_ID_BYTES) {
    throw invalidParam(`The id of a push rule has 1 to ${MAX_RULE_ID_BYTES} bytes.`);
  }
  if (ruleId.startsWith('.')) throw invalidParam('Ids that begin with a dot are for the rules of the server.');
  if (/[/\\]/.test(ruleId)) throw invalidParam('The id of a push rule has no slashes and no backslashes.');
}
