import type { Resolution, ResolvedKey } from '#protocol/state-resolution/index.ts';

/** What `--trace` says of one resolution, line by line: for each conflicted key what won and why, then every step. */
export function* traceLines(heading: string, { changes, steps }: Resolution): Generator<string> {
  yield heading;
  for (const key of changes) yield* keyLines(key);
  if (steps.length === 0) return;
  yield '  In this order the events were held against the rules:';
  for (const { eventId, type, stateKey, pass, verdict } of steps) {
    const outcome = verdict.allowed
      ? 'let in'
      : `refused${verdict.rule === '' ? '' : ` by rule ${verdict.rule}`}: ${verdict.reason}`;
    yield `    ${pass.padEnd(8)}  ${eventId}  ${keyText(type, stateKey)}  ${outcome}`;
  }
}

function* keyLines({ type, stateKey, eventId, candidates, reason }: ResolvedKey): Generator<string> {
  yield `  ${keyText(type, stateKey)}: ${eventId ?? 'nothing'} won. ${reason}`;
  for (const candidate of candidates) if (candidate !== eventId) yield `    not ${candidate}`;
}

/** State keys are any text; quotes and escapes keep each on its line. */
function keyText(type: string, stateKey: string): string {
  return `${JSON.stringify(type).slice(1, -1)} ${JSON.stringify(stateKey)}`;
}
