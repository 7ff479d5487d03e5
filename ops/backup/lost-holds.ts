/** Legal holds that a restore leaves behind: those that were set after what is restored know nothing of it. */
import { type Hold, standingHolds } from '#projections/compliance/queries.ts';
import { readDataFolder } from '../rooms/data-folder.ts';

/** The holds that stand in one data folder and not in another. None where one of them cannot be read: then nobody can tell. */
export async function lostHolds(before: string, restored: string): Promise<Hold[]> {
  const [stood, stand] = await Promise.all([holdsIn(before), holdsIn(restored)]);
  if (stood === undefined || stand === undefined) return [];
  const known = new Set(stand.map(({ id }) => id));
  return stood.filter(({ id }) => !known.has(id));
}

function holdsIn(dataDir: string): Promise<Hold[] | undefined> {
  return readDataFolder(dataDir, async ({ reader }) => standingHolds(reader)).catch(() => undefined);
}
