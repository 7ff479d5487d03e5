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
  return `${quotedText(type)} ${JSON.stringify(stateKey)}`;
}

/** Text of others for one line of a terminal: as it is, with escapes for what would end the line or drive the terminal. */
export function quotedText(text: string): string {
  return JSON.stringify(text)
    .slice(1, -1)
    .replaceAll(UNSEEN, (character) => {
      return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
    });
}

/** What JSON leaves alone and terminals may obey. */
const UNSEEN = /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;
