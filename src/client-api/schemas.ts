import { z } from 'zod';
import { isUserId } from '#protocol/identifiers.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject } from '#protocol/pdu.ts';

/** A user id in a request body. */
export const userIdSchema = z.string().refine(isUserId, 'not a user id');

/**
 * Any JSON object, kept as it is. What it holds is not looked at again: it was read as JSON, and a walk through a body of a
 * megabyte would hold up everybody for as long as a second.
 */
export const jsonObjectSchema = z.custom<JsonObject>(isJsonObject, 'not an object');

/** Largest body that can hold an event: 65,536 bytes of canonical JSON, each of which may be written as a six-byte escape. */
export const MAX_EVENT_BODY_BYTES = 6 * 65_536;
