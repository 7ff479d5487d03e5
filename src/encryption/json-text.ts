/** Puts JSON together from texts that are JSON already. */

/** JSON text of an object with these members, whose values are JSON texts. */
export function objectText(members: Iterable<readonly [name: string, json: string]>): string {
  const parts: string[] = [];
  for (const [name, json] of members) parts.push(`${JSON.stringify(name)}:${json}`);
  return `{${parts.join(',')}}`;
}
