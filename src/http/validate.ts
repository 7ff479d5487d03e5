/** Schemas applied to requests, and what a client is told about what does not fit. */
import type { z } from 'zod';
import { type Errcode, MatrixError, missingParam } from './errors.ts';

/** What of the request does not fit, for the sentence. */
type Part = 'path' | 'query' | 'body';

/**
 * The value as the schema makes it.
 * @throws {MatrixError} `M_MISSING_PARAM` if something is not there; otherwise `M_BAD_JSON` for a body, else `M_INVALID_PARAM`.
 */
export function applySchema(schema: z.ZodType, value: unknown, part: Part): unknown {
  const result = schema.safeParse(value, REPORT_INPUT);
  if (result.success) return result.data;
  throw misfit(result.error.issues, part);
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
