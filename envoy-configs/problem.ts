/** One thing wrong with `causeway.yaml`, by its place in the document; the loader adds file, line and column. */
export interface Problem {
  /** Keys and indexes from the root. */
  readonly path: readonly (string | number)[];
  /** Point at the last key of the path instead of at its value. */
  readonly atKey?: boolean;
  /** What is there. */
  readonly found: string;
  /** What is allowed. */
  readonly expected: string;
  /** What to do about it, where that is not the same as the above. */
  readonly hint?: string;
}
