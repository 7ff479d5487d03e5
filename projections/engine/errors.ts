/** What can go wrong with projections, as types. */
import type { Position } from '#streams/event-log.ts';

/** A projection could not apply a record. Its environment stays at the record before the batch; nothing is served beyond. */
export class ProjectionFailed extends Error {
  override readonly name = 'ProjectionFailed';
  readonly projection: string;
  readonly position: Position;
  readonly kind: string;
  constructor(projection: string, position: Position, kind: string, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(`projection ${projection} cannot apply record ${position} (${kind}): ${reason}`, { cause });
    this.projection = projection;
    this.position = position;
    this.kind = kind;
  }
}

/** The engine does not follow the log any more: it failed (`cause` says why) or was closed. */
export class EngineStopped extends Error {
  override readonly name = 'EngineStopped';
}

/** A table of no projection of this environment, or written by a projection that does not own it. */
export class UnknownTable extends Error {
  override readonly name = 'UnknownTable';
}

/** The files of an environment are not what was written. It is rebuilt at the next start. */
export class EnvironmentDamaged extends Error {
  override readonly name = 'EnvironmentDamaged';
}

/** LMDB's codes that say its file is not sound: page not found, corrupted, panic, invalid, bad transaction, problem. */
const DAMAGE_CODES: ReadonlySet<unknown> = new Set([-30797, -30796, -30795, -30793, -30782, -30779]);

/** The system's numbers for no space left on the device and quota exceeded, as LMDB passes them on. */
const SPACE_CODES: ReadonlySet<unknown> = new Set([28, 122]);

/** Whether an error, or what caused it, says that an environment's files are damaged. */
export function saysDamaged(error: unknown): boolean {
  return causesOf(error).some((cause) => cause instanceof EnvironmentDamaged || DAMAGE_CODES.has(codeOf(cause)));
}

/** Whether an error, or what caused it, says that there is no room on the disk: it may work later. */
export function saysOutOfSpace(error: unknown): boolean {
  return causesOf(error).some((cause) => SPACE_CODES.has(codeOf(cause)));
}

function causesOf(error: unknown): Error[] {
  const causes: Error[] = [];
  for (let cause = error; cause instanceof Error && causes.length < MAX_CAUSES; cause = cause.cause) causes.push(cause);
  return causes;
}

function codeOf(error: Error): unknown {
  return (error as { code?: unknown }).code;
}

/** How far a chain of causes is followed. */
const MAX_CAUSES = 8;
