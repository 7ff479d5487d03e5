/**
 * Whether a generation of a backup may go: asked of the one function that decides on everything that goes. A generation holds
 * something of everybody and every room up to its last record, so every standing hold covers it that covers anything of that
 * time. Minimum lifetimes keep it only where it is the last copy of something: else what it holds is in a newer one.
 */
import { latestPolicy, standingHolds } from '#projections/compliance/queries.ts';
import { ITEM_CLASSES, type ItemClass } from '#projections/compliance/records.ts';
import { type Circumstances, decide, type Item } from '#src/compliance/decision/decide.ts';
import { policyOf } from '#src/compliance/retention-policy.ts';
import type { Config } from '#src/config/schema.ts';
import { dataPaths } from '#src/data-paths.ts';
import { diskFiles } from '#streams/embedded/files.ts';
import { readLogId } from '#streams/embedded/log-id.ts';
import { logPaths } from '#streams/embedded/paths.ts';
import { listSegments, segmentAt } from '#streams/embedded/segments.ts';
import { readDataFolder } from '../rooms/data-folder.ts';
import type { Manifest } from './manifest.ts';
import type { OnlyCopy, PruneDecision } from './prune.ts';

/** What a generation is asked about: the class, and whom and what of it a hold may name. */
function itemOf(manifest: Manifest, itemClass: ItemClass, holds: Circumstances['holds'][number] | undefined): Item {
  const { userId, roomId, mediaId, toMs } = holds?.scope ?? {};
  return {
    position: manifest.records - 1,
    sections: [],
    class: itemClass,
    userIds: userId === undefined ? [] : [userId],
    ...(roomId !== undefined && { roomId }),
    ...(mediaId !== undefined && { mediaId }),
    // Of what it holds, the latest that the hold may be about.
    recordedAtMs: Math.min(manifest.recorded_at_ms, toMs === undefined ? Number.MAX_SAFE_INTEGER : toMs - 1),
  };
}

/** Why a generation may not go; undefined where it may. */
export function whyKept(manifest: Manifest, onlyCopy: OnlyCopy, circumstances: Circumstances): string | undefined {
  for (const hold of circumstances.holds) {
    const verdict = decide(itemOf(manifest, 'messages', hold), { cause: 'history_purge' }, circumstances);
    if (verdict.outcome === 'defer') return verdict.why;
  }
  const classes = onlyCopy.log ? ITEM_CLASSES : onlyCopy.media ? (['media'] as const) : [];
  for (const itemClass of classes) {
    const item = itemOf(manifest, itemClass, undefined);
    const verdict = decide(item, { cause: 'history_purge' }, { ...circumstances, holds: [] });
    if (verdict.outcome !== 'destroy' && verdict.outcome !== 'gone') return verdict.why;
  }
  return undefined;
}

/** Why a generation of another log stays: what is on hold in it is written elsewhere. */
const OTHER_LOG =
  'It is of another log than that of the configured data folder, where nobody knows what of it is on hold.';

/**
 * Runs the work with the decision as the configured data folder has it: its holds, and the policy that is on record there, whatever the
 * settings say by now.
 * @throws {NothingToCheck} where there are no projections: then nobody knows what is on hold.
 */
export function withPruneDecision<T>(config: Config, work: (decide: PruneDecision) => Promise<T>): Promise<T> {
  return readDataFolder(config.data_dir, async ({ reader }) => {
    const policy = latestPolicy(reader)?.policy ?? policyOf(config);
    const circumstances = { policy, holds: standingHolds(reader), nowMs: Date.now() };
    const ownId = await logIdOf(dataPaths(config.data_dir).log);
    return work((manifest, onlyCopy) =>
      manifest.log_id === ownId ? whyKept(manifest, onlyCopy, circumstances) : OTHER_LOG,
    );
  });
}

/** Hex of the bytes that a log's files carry. */
async function logIdOf(folder: string): Promise<string> {
  const { segments } = logPaths(folder);
  const [first = 0] = await listSegments(diskFiles, segments);
  return (await readLogId(diskFiles, segmentAt(segments, first).path)).toString('hex');
}
