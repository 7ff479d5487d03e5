import { STELE_VERSION } from '#src/version.ts';

/** The version of this checkout, as package.json says. */
export async function steleVersion(): Promise<string> {
  return STELE_VERSION;
}
