/**
 * Whether a generation of a backup may go: asked of the one function that decides on everything that goes. A generation holds
 * something of everybody and every room up to its last record, so every standing hold covers it that covers anything of that
 * time. Minimum lifetimes keep it only where it is the last copy of something: else what it holds is in a newer one.
 */
import { standingHolds } from '#projections/compliance/queries.ts';
import { ITEM_CLASSES, type ItemClass } from '#projections/compliance/records.ts';
import { type Circumstances, decide, type Item } from '#src/compliance/decision/decide.ts';
import { policyOf } from '#src/compliance/retention-policy.ts';
import type { Config } from '#src/config/schema.ts';
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

/**
 * Runs the work with the decision as the configured data folder has it: its holds, and the policy of the settings.
 * @throws {NothingToCheck} where there are no projections: then nobody knows what is on hold.
 */
export function withPruneDecision<T>(config: Config, work: (decide: PruneDecision) => Promise<T>): Promise<T> {
  return readDataFolder(config.data_dir, ({ reader }) => {
    const circumstances = { policy: policyOf(config), holds: standingHolds(reader), nowMs: Date.now() };
    return work((manifest, onlyCopy) => whyKept(manifest, onlyCopy, circumstances));
  });
}
