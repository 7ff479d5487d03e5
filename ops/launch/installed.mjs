// Whether node_modules holds what package-lock.json says. npm notes what it installed in node_modules/.package-lock.json,
// at the end, so an interrupted installation does not count.
import { readFileSync } from 'node:fs';

function packagesOf(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages ?? {};
  } catch {
    return undefined;
  }
}

/** `withDev`: also what only development needs. Packages for other platforms may be missing. */
export function isInstalled(root, withDev) {
  const wanted = packagesOf(`${root}package-lock.json`);
  const present = packagesOf(`${root}node_modules/.package-lock.json`);
  if (wanted === undefined || present === undefined) return false;
  return Object.entries(wanted).every(([path, { version, optional, dev, devOptional }]) => {
    if (path === '' || optional || devOptional || (dev && !withDev)) return true;
    return present[path]?.version === version;
  });
}
