import { z } from 'zod';
import { isUserId } from '#protocol/identifiers.ts';

/** A user id in a request body. */
export const userIdSchema = z.string().refine(isUserId, 'not a user id');

/** Any JSON object, kept as it is. */
export const jsonObjectSchema = z.record(z.string(), z.json());
