import type { Problem } from '../../envoy-configs/problem.ts';

/** A {@link Problem} with its place in a file. */
export interface LocatedProblem {
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  /** 1-based. */
  readonly column: number;
  /** The field's path, such as `services.reviews.port`; empty for the document. */
  readonly field: string;
  readonly found: string;
  readonly expected: string;
  readonly hint?: string;
}

/** The configuration cannot be used; `problems` says why, at least one. Its message is what a person reads. */
export class ConfigError extends Error {
  override name = 'ConfigError';
  readonly problems: readonly LocatedProblem[];

  constructor(problems: readonly LocatedProblem[]) {
    super(problems.map(formatProblem).join('\n'));
    this.problems = problems;
  }
}

/** `file:line:column: field: found …, expected …; hint`. */
export function formatProblem(problem: LocatedProblem): string {
  const field = problem.field === '' ? '' : ` ${problem.field}:`;
  const hint = problem.hint === undefined ? '' : `; ${problem.hint}`;
  return `${problem.file}:${problem.line}:${problem.column}:${field} found ${problem.found}, expected ${problem.expected}${hint}`;
}

/** `services.reviews.instances[0]`; keys that are no plain words in quotes. */
export function fieldName(path: Problem['path']): string {
  return path
    .map((step) => {
      if (typeof step === 'number') return `[${step}]`;
      return /^[A-Za-z0-9_-]{1,64}$/.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`;
    })
    .join('')
    .replace(/^\./, '');
}

/** A value as it is shown in a message: JSON, shortened. */
export function shown(value: unknown): string {
  const text = value === undefined ? 'nothing' : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
