/**
 * Asks a witness to cosign a checkpoint (https://c2sp.org/tlog-witness), and notices where what the witness has seen of this log is
 * not what this log is.
 */
import { type Cosignature, type CosignatureVerifier, cosignaturesOf } from '#streams/transparency/cosignature.ts';
import { proveConsistency } from '#streams/transparency/merkle.ts';
import { subtreesFromTiles, type TileFiles } from '#streams/transparency/tile-files.ts';
import { formatSubmission } from '#streams/transparency/witness.ts';

/** How often a witness is asked with what it said it knows. */
const MAX_ATTEMPTS = 4;

/** An answer of a witness. */
export interface WitnessHttpAnswer {
  readonly status: number;
  readonly body: string;
}

/** Posts a body; rejects where there is no answer. */
export type PostToWitness = (url: string, body: string) => Promise<WitnessHttpAnswer>;

/** A witness that is asked. */
export interface WitnessOptions {
  /** The submission prefix, without a slash at its end. */
  readonly url: string;
  readonly verifier: CosignatureVerifier;
  readonly post: PostToWitness;
  readonly files: Pick<TileFiles, 'read'>;
}

/** A checkpoint to be cosigned. */
export interface CheckpointToCosign {
  readonly note: string;
  readonly size: number;
}

/**
 * What a witness has seen contradicts this log. `rollback`: it cosigned more records than the log has now. `fork`: other ones.
 */
export class WitnessContradiction extends Error {
  override readonly name = 'WitnessContradiction';
  readonly kind: 'rollback' | 'fork';
  readonly witness: string;
  readonly witnessedSize: number;

  constructor(kind: 'rollback' | 'fork', witness: string, witnessedSize: number, size: number) {
    super(
      kind === 'rollback'
        ? `the witness ${witness} cosigned ${witnessedSize} records of this log, but there are only ${size}: records were lost`
        : `the witness ${witness} cosigned another history of this log: its ${witnessedSize} records are not the first ${witnessedSize} of these ${size}`,
    );
    this.kind = kind;
    this.witness = witness;
    this.witnessedSize = witnessedSize;
  }
}

/** A witness did not cosign, for a reason that says nothing about the log. */
export class WitnessRefused extends Error {
  override readonly name = 'WitnessRefused';
}

/** See the file's comment. */
export class WitnessClient {
  readonly #options: WitnessOptions;
  /** What it cosigned last; asked for at first. */
  #knownSize = 0;

  constructor(options: WitnessOptions) {
    this.#options = options;
  }

  /** The name of its key. */
  get name(): string {
    return this.#options.verifier.name;
  }

  /**
   * The cosignature of a published checkpoint.
   * @throws {WitnessContradiction} @throws {WitnessRefused}, or what `post` rejects with
   */
  async cosign({ note, size }: CheckpointToCosign): Promise<Cosignature> {
    const { url, post, files, verifier } = this.#options;
    let oldSize = Math.min(this.#knownSize, size);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const proof =
        oldSize === 0 || oldSize === size ? [] : await proveConsistency(oldSize, size, subtreesFromTiles(files, size));
      const { status, body } = await post(`${url}/add-checkpoint`, formatSubmission(oldSize, proof, note));
      if (status === 200) {
        const [cosignature] = cosignaturesOf(`${note}${body}`, [verifier]);
        if (cosignature === undefined)
          throw new WitnessRefused(`${this.name} answered without a cosignature by its key`);
        this.#knownSize = size;
        return cosignature;
      }
      if (status === 422) throw new WitnessContradiction('fork', this.name, oldSize, size);
      if (status !== 409) throw new WitnessRefused(`${this.name} answered ${status}: ${body.trim().slice(0, 200)}`);
      const witnessed = /^(0|[1-9][0-9]{0,15})\n$/.exec(body)?.[1];
      if (witnessed === undefined) throw new WitnessRefused(`${this.name} did not say which size it knows`);
      const witnessedSize = Number(witnessed);
      if (witnessedSize > size) throw new WitnessContradiction('rollback', this.name, witnessedSize, size);
      if (witnessedSize === oldSize) throw new WitnessContradiction('fork', this.name, witnessedSize, size);
      oldSize = witnessedSize;
    }
    throw new WitnessRefused(`${this.name} says something else each time it is asked what it knows`);
  }
}
