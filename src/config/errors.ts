/** One thing that is wrong with the configuration. */
export interface ConfigProblem {
  /** File and line (`stele.yaml:12`) or the environment variable; undefined when it is in neither. */
  readonly where: string | undefined;
  /** The setting, as `listeners.0.port`; empty for the file as a whole. */
  readonly key: string;
  /** What is wrong, to be read after the key. */
  readonly message: string;
}

/** The configuration cannot be used. Its message lists everything that is wrong with it, a line each. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    const count = problems.length === 1 ? 'one thing is' : `${problems.length} things are`;
    super(
      `${count} wrong with the configuration:\n${problems.map((problem) => `  ${describeProblem(problem)}`).join('\n')}`,
    );
    this.problems = problems;
  }
}

/** A problem as one line. */
export function describeProblem({ where, key, message }: ConfigProblem): string {
  return [where === undefined ? '' : `${where}: `, key === '' ? '' : `${key} `, message].join('');
}
