/** What verification finds wrong. */

/** One thing that is not as it should be. */
export interface Finding {
  readonly kind: /** Stored bytes do not pass their checksum, or a record is missing. */
    | 'damaged'
    /** A record is whole but not the one that was published. */
    | 'changed'
    /** A stream's revisions are not 0, 1, 2, … */
    | 'revision'
    /** A section does not open with its key. */
    | 'section'
    /** An opened record is not what it says it is (a PDU that has another event id). */
    | 'content'
    /** A tile is missing or not what the log gives; it can be made again. */
    | 'tile'
    /** A checkpoint is not signed by the log's key, or speaks of another history than the log's. */
    | 'checkpoint'
    /** A checkpoint speaks of more records than there are. */
    | 'lost'
    /** The key of a section is destroyed, and no record decided that. */
    | 'undecided'
    /** The key of a section is there, though a record says that it was destroyed. */
    | 'revived';
  /** A sentence that names file, offset and record, as far as these are known. */
  readonly message: string;
  /** Of the record in question. */
  readonly position?: number;
}

/** Findings that a report names; the others are only counted. */
export const MAX_NAMED_FINDINGS = 100;

/** Collects findings: all counted, the first {@link MAX_NAMED_FINDINGS} kept. */
export class Findings {
  readonly named: Finding[] = [];
  count = 0;

  add(finding: Finding): void {
    this.count++;
    if (this.named.length < MAX_NAMED_FINDINGS) this.named.push(finding);
  }

  /** Takes over what another collected. */
  merge(named: readonly Finding[], count: number): void {
    for (const finding of named) this.add(finding);
    this.count += count - named.length;
  }
}
