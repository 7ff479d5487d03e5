// Tells Node where the modules of this project are. Every import of ours names a file, so its place follows from the text alone; Node
// would ask the file system and look for package.json for each of several thousand imports, a tenth of the time that a start takes.
// All others, and what does not look as ours do, Node finds as ever.
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';

const ROOT = new URL('../..', import.meta.url).href;
const PATTERN_END = '/*';

/** Folders by the name that imports give them: what `imports` of package.json says, which is also what type checks go by. */
const FOLDERS = new Map();
for (const [name, target] of Object.entries(JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8')).imports)) {
  if (name.endsWith(PATTERN_END) && target.endsWith(PATTERN_END)) {
    FOLDERS.set(name.slice(0, -PATTERN_END.length), new URL(target.slice(0, -1), ROOT).href);
  }
}

/** The file that an import of ours means; undefined where Node has to find out. */
function fileOf(specifier, parentURL) {
  if (!specifier.endsWith('.ts') || parentURL === undefined || !parentURL.startsWith(ROOT)) return undefined;
  if (specifier.startsWith('.')) return new URL(specifier, parentURL).href;
  const slash = specifier.indexOf('/');
  const folder = FOLDERS.get(specifier.slice(0, slash));
  return folder && `${folder}${specifier.slice(slash + 1)}`;
}

registerHooks({
  resolve(specifier, context, next) {
    const url = fileOf(specifier, context.parentURL);
    return url === undefined ? next(specifier, context) : { url, format: 'module-typescript', shortCircuit: true };
  },
});
