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

/** Whether an error, or what caused it, says that an environment's files are damaged. */
export function saysDamaged(error: unknown): boolean {
  for (let cause = error, depth = 0; cause instanceof Error && depth < MAX_CAUSES; cause = cause.cause, depth++) {
    if (cause instanceof EnvironmentDamaged || DAMAGE_CODES.has((cause as { code?: unknown }).code)) return true;
  }
  return false;
}

/** How far a chain of causes is followed. */
const MAX_CAUSES = 8;
