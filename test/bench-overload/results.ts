import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { median } from '../bench/stats.ts';
import type { Measures } from './measures.ts';
import type { Point } from './series.ts';

/** One trial's result. */
export interface Result {
  readonly scenario: string;
  readonly variant: string;
  readonly seed: number;
  readonly measures: Measures;
  /** Its course, of the first seed only. */
  readonly series: readonly Point[] | null;
}

/** Where the steps leave their results, one file each: a run of many minutes can be taken up again step by step. */
const folder = join(import.meta.dirname, '../../build/bench-overload');

export function forgetResults(): void {
  rmSync(folder, { recursive: true, force: true });
}

/** Keeps a result of one step, in place of that of an earlier run of the same scenario, variant and seed. */
export function keepResult(step: string, result: Result): void {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${step.replaceAll(/[^a-z0-9-]+/g, '-')}.json`);
  const earlier = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Result[]) : [];
  const { scenario, variant, seed } = result;
  const kept = earlier.filter((old) => old.scenario !== scenario || old.variant !== variant || old.seed !== seed);
  // NaN has no JSON; null is read back as NaN below.
  writeFileSync(file, `${JSON.stringify([...kept, result])}\n`);
}

export function allResults(): Result[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .flatMap((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Result[])
    .map((result) => ({ ...result, measures: numbers(result.measures) }));
}

function numbers(measures: Measures): Measures {
  const entries = Object.entries(measures).map(([key, value]: [string, number | null]) => [key, value ?? Number.NaN]);
  return Object.fromEntries(entries) as Measures;
}

/** The middle of every quantity over the seeds of one scenario and variant; null when there are none. */
export function middleOf(results: readonly Result[], scenario: string, variant: string): Measures | null {
  const of = results.filter((one) => one.scenario === scenario && one.variant === variant);
  const first = of[0];
  if (first === undefined) return null;
  const keys = Object.keys(first.measures) as (keyof Measures)[];
  const entries = keys.map((key) => [key, middle(of.map(({ measures }) => measures[key]))]);
  return Object.fromEntries(entries) as Measures;
}

/** Median in which "never" (NaN) is the worst time there is. */
function middle(values: readonly number[]): number {
  const value = median(values.map((one) => (Number.isNaN(one) ? Number.MAX_VALUE : one)));
  return value > 1e100 ? Number.NaN : value;
}
