/**
 * Who somebody is, for what takes two people. An account and an operator of the same name count as one person: whoever has both would be
 * two otherwise. `@ann:example.org`, `operator:ann` and `operator:ann as root` are all `ann`.
 */
export function personOf(by: string): string {
  if (by.startsWith('operator:')) return by.slice('operator:'.length).replace(/ as .*$/s, '');
  return by.startsWith('@') ? by.slice(1).replace(/:.*$/s, '') : by;
}
