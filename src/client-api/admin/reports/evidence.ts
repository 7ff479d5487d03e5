/** Captured evidence: `/_stele/admin/evidence`. */
import { z } from 'zod';
import type { Reader } from '#projections/engine/reader.ts';
import { type Evidence, evidenceItems, findEvidence } from '#projections/reports/evidence.ts';
import type { Context } from '#src/context.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { invalidParam, notFound } from '#src/http/errors.ts';
import { standingOf } from '#src/http/guard.ts';
import { queryInteger } from '#src/http/query.ts';
import type { Standing } from '#src/roles/standing.ts';
import type { Position } from '#streams/event-log.ts';
import { type Covered, heldFor } from '../one-case.ts';

type ReadContext = Pick<Context, 'reader'>;

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1_000;
/** Most evidence looked at for one answer, which may then have less than asked for, and still a `next`. */
const MAX_LOOKED_AT = 4_000;
/** Positions that fit into a key. */
const MAX_POSITION = 2 ** 48 - 1;

/**
 * `GET /_stele/admin/evidence`: what was captured, without what people wrote; the newest first. `about` is the id of an event, a room, a
 * user or a file, `from` the `next` of the answer before.
 */
export const listEvidence = endpoint({
  method: 'GET',
  path: '/_stele/admin/evidence',
  auth: 'admin',
  may: 'evidence.read',
  rateLimit: 'none',
  query: z.object({
    about: z.string().optional(),
    from: queryInteger({ cap: MAX_POSITION }).optional(),
    limit: queryInteger({ cap: MAX_LIMIT }).default(DEFAULT_LIMIT),
  }),
  audit: { action: 'evidence.list', isScopedInHandler: true, describe: ({ query }) => ({ after: query }) },
  handler: ({ query: { about, from, limit }, requester }, { reader }: ReadContext) => {
    const isReached = reachOf(reader, standingOf(requester));
    const items: Evidence[] = [];
    let looked = 0;
    let next: Position | undefined;
    for (const item of evidenceItems(reader, about, from)) {
      if (items.length === Math.max(1, limit) || looked === MAX_LOOKED_AT) break;
      looked += 1;
      next = item.id;
      if (isReached(item)) items.push(item);
    }
    if (items.length < limit && looked < MAX_LOOKED_AT) next = undefined;
    return { evidence: items.map(headJson), ...(next !== undefined && { next }) };
  },
});

/** `GET /_stele/admin/evidence/{evidenceId}`: one piece of evidence with what people wrote; `content` is null where that was destroyed. */
export const getEvidence = endpoint({
  method: 'GET',
  path: '/_stele/admin/evidence/{evidenceId}',
  auth: 'admin',
  may: 'evidence.read',
  rateLimit: 'none',
  audit: {
    action: 'evidence.read',
    describe: ({ params }, { reader }: ReadContext) => {
      const found = namedEvidence(reader, params.evidenceId);
      const { id, roomId, eventId, userId } = found;
      return {
        isOfCase: (caseId) => heldFor(reader, caseId)(coveredOf(found)),
        target:
          eventId === undefined
            ? { kind: 'evidence', id: userId ?? roomId ?? String(id) }
            : { kind: 'event', id: eventId },
        roomId,
        after: { evidence: id },
      };
    },
  },
  handler: async ({ params }, { reader, evidence }: Pick<Context, 'reader' | 'evidence'>) => {
    const found = namedEvidence(reader, params.evidenceId);
    const content = (await evidence.read(found.id)) ?? 'null';
    return jsonTextAnswer(`${JSON.stringify(headJson(found)).slice(0, -1)},"content":${content}}`);
  },
});

/** Tells which evidence a role reaches: that of its rooms, and that which a hold of its case covers. */
function reachOf(reader: Reader, { rooms, isCaseFixed, caseId }: Standing): (item: Evidence) => boolean {
  if (rooms === undefined) return () => true;
  const isHeld = isCaseFixed && caseId !== undefined ? heldFor(reader, caseId) : () => false;
  return (item) => (item.roomId !== undefined && rooms.includes(item.roomId)) || isHeld(coveredOf(item));
}

/** What of evidence a hold may cover. */
function coveredOf({ userId, others = [], roomId, capturedAtMs }: Evidence): Covered {
  return { userIds: userId === undefined ? others : [userId, ...others], roomId, recordedAtMs: capturedAtMs };
}

function namedEvidence(reader: Reader, text: string): Evidence {
  if (!/^\d{1,15}$/.test(text)) throw invalidParam('The id of evidence is a number.');
  const id = Number(text);
  const found = id <= MAX_POSITION ? findEvidence(reader, id) : undefined;
  if (found === undefined) throw notFound('There is no such evidence.');
  return found;
}

function headJson({ id, capturedAtMs, cause, by, roomId, eventId, userId, media }: Evidence): object {
  return {
    id,
    captured_ts: capturedAtMs,
    cause,
    by,
    ...(roomId !== undefined && { room_id: roomId }),
    ...(eventId !== undefined && { event_id: eventId }),
    ...(userId !== undefined && { user_id: userId }),
    media: media.map(({ uri, sha256, sizeBytes, contentType, uploader }) => ({
      uri,
      sha256,
      size: sizeBytes,
      content_type: contentType,
      uploader,
    })),
  };
}
