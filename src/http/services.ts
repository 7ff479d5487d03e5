import type { Service } from '#src/config/schema.ts';

/** Which listeners answer a path: those that serve one of the named. The first prefix that fits counts. */
const SERVICES_BY_PREFIX: readonly (readonly [prefix: string, services: readonly Service[]])[] = [
  ['/_matrix/client/', ['client']],
  // Servers from before authenticated media fetch it here too.
  ['/_matrix/media/', ['client', 'federation']],
  ['/_matrix/federation/', ['federation']],
  ['/_matrix/key/', ['federation']],
  ['/_matrix/policy/', ['federation']],
  ['/.well-known/matrix/client', ['client']],
  ['/.well-known/matrix/', ['client', 'federation']],
  ['/_stele/', ['ops']],
  ['/_synapse/', ['ops']],
];

/** @throws {Error} for a path that no listener would answer: a mistake in a declaration. */
export function servicesOf(path: string): readonly Service[] {
  const found = SERVICES_BY_PREFIX.find(([prefix]) => path.startsWith(prefix));
  if (found === undefined) throw new Error(`no service answers paths like ${path}`);
  return found[1];
}
