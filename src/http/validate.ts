/** Schemas applied to requests, and what a client is told about what does not fit. */
import type { z } from 'zod';
import { type Errcode, MatrixError, missingParam } from './errors.ts';

/** What of the request does not fit, for the sentence. */
type Part = 'path' | 'query' | 'body';

/**
 * The value as the schema makes it. A `null` at the top of a body counts as absent where the schema has no place for it:
 * many clients write so what they leave out.
 * @throws {MatrixError} `M_MISSING_PARAM` if something is not there; otherwise `M_BAD_JSON` for a body, else `M_INVALID_PARAM`.
 */
export function applySchema(schema: z.ZodType, value: unknown, part: Part): unknown {
  const result = schema.safeParse(value, REPORT_INPUT);
  if (result.success) return result.data;
  const { issues } = result.error;
  if (part === 'body' && issues.every(isNullAtTop)) {
    const again = schema.safeParse(withoutKeys(value as object, issues), REPORT_INPUT);
    if (again.success) return again.data;
  }
  throw misfit(issues, part);
}

function isNullAtTop(issue: z.core.$ZodIssue): boolean {
  return issue.path.length === 1 && issue.input === null;
}

function withoutKeys(value: object, issues: readonly z.core.$ZodIssue[]): object {
  const nulls = new Set(issues.map(({ path }) => path[0]));
  return Object.fromEntries(Object.entries(value).filter(([key]) => !nulls.has(key)));
}

const REPORT_INPUT = { reportInput: true } as const;

function misfit(issues: readonly z.core.$ZodIssue[], part: Part): MatrixError {
  const issue = issues.find(isMissing) ?? issues[0];
  if (issue === undefined) return new MatrixError('M_BAD_JSON');
  const name = issue.path.join('.');
  if (isMissing(issue)) return missingParam(name);
  const errcode: Errcode = part === 'body' ? 'M_BAD_JSON' : 'M_INVALID_PARAM';
  const where = name === '' ? `The ${part}` : `The parameter ${name}`;
  return new MatrixError(errcode, `${where} does not fit: ${issue.message}`);
}

function isMissing(issue: z.core.$ZodIssue): boolean {
  return issue.path.length > 0 && issue.input === undefined;
}
