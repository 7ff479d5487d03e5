/** What a benchmark found: the figure, and beside it what the bare machine did in the same run, because only ratios travel. */
export interface BenchResult {
  /** What was measured, in a few words. */
  readonly name: string;
  readonly figure: number;
  /** Unit of `figure` and `ceiling`, such as `records/s`. */
  readonly unit: string;
  /** The raw ceiling measured in the same run. */
  readonly ceiling: number;
  /** What the ceiling is, such as `bare write + fdatasync`. */
  readonly ceilingName: string;
  /** `figure / ceiling`. */
  readonly ratio: number;
  /** Further figures, by name. */
  readonly details: Readonly<Record<string, number | string>>;
}
