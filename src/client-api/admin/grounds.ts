import { z } from 'zod';
import { MAX_REASON_LENGTH, MAX_TEXT_LENGTH } from '#src/audit/audit.ts';

/** The case that something belongs to, where requests have to say. */
export const caseIdSchema = z.string().trim().min(1).max(MAX_TEXT_LENGTH);

/** Why something is done, where requests have to say. */
export const reasonSchema = z.string().trim().min(1).max(MAX_REASON_LENGTH);
