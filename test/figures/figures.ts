/**
 * Figures for machines: what every benchmark and drill leaves in build/<target>.json, judged by the one committed list of
 * targets, test/targets.json. The code that measures states no target; it cannot make itself pass.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');

export type Comparator = '<=' | '>=' | '==' | 'within';

/** An entry of the committed list. */
export interface Target {
  /** The benchmark or drill that must report it: the file's name under build/. */
  readonly target: string;
  /** What was measured, e.g. `fused outbound`. */
  readonly name: string;
  /** Which property of it, e.g. `cpu over floor`. With `name` unique within `target`. */
  readonly metric: string;
  readonly comparator: Comparator;
  /** The bound; of `within` the least and the most. */
  readonly value: number | readonly [least: number, most: number];
  readonly unit: string;
  /** What must have been measured beside it. */
  readonly peers: readonly string[];
}

/** One measured figure. */
export interface Measured {
  readonly name: string;
  readonly metric: string;
  readonly value: number;
  /** In the unit of the list's entry; for a figure that the list does not name, its own. */
  readonly unit: string;
  /** What was measured beside it, in the same unit unless its name says otherwise; null where it could not be. */
  readonly peers?: Readonly<Record<string, number | null>>;
}

/** An entry of build/<target>.json. */
export interface Figure {
  readonly name: string;
  readonly metric: string;
  /** Null when it was not measured. */
  readonly value: number | null;
  readonly unit: string;
  /** As `<= 6`; null for a figure without a target. */
  readonly target: string | null;
  readonly holds: boolean;
  readonly peers: Readonly<Record<string, number | null>>;
}

/** The committed list; throws when an entry is malformed or named twice. */
export function readTargets(file = join(ROOT, 'test/targets.json')): readonly Target[] {
  const targets = JSON.parse(readFileSync(file, 'utf8')) as Target[];
  const seen = new Set<string>();
  for (const entry of targets) {
    const key = `${entry.target}: ${entry.name}: ${entry.metric}`;
    if (!isSound(entry)) {
      throw new Error(`${file}: ${key}: expected <=, >= or == and a number, or within and a pair; and a list of peers`);
    }
    if (seen.has(key)) throw new Error(`${file}: ${key}: listed twice`);
    seen.add(key);
  }
  return targets;
}

function isSound({ comparator, value, peers }: Target): boolean {
  const bound =
    comparator === 'within'
      ? Array.isArray(value) && value.length === 2 && value.every(Number.isFinite)
      : ['<=', '>=', '=='].includes(comparator) && Number.isFinite(value);
  return bound && Array.isArray(peers);
}

/** Judges what was measured by the list. A listed figure that is missing, or lacks a peer, does not hold. */
export function judge(target: string, measured: readonly Measured[], targets: readonly Target[]): Figure[] {
  const listed = targets.filter((entry) => entry.target === target);
  const rest = measured.filter((one) => !listed.some((entry) => isFor(entry, one)));
  return [
    ...listed.map((entry) =>
      judgeOne(
        entry,
        measured.find((one) => isFor(entry, one)),
      ),
    ),
    ...rest.map(({ name, metric, value, unit, peers = {} }) => {
      return { name, metric, value: finite(value), unit, target: null, holds: true, peers };
    }),
  ];
}

function judgeOne(entry: Target, found: Measured | undefined): Figure {
  const { name, metric, unit, comparator, value: bound } = entry;
  if (found !== undefined && found.unit !== unit) {
    throw new Error(`${entry.target}: ${name}: ${metric}: measured in ${found.unit}, the target is in ${unit}`);
  }
  const value = finite(found?.value);
  const peers = Object.fromEntries(entry.peers.map((peer) => [peer, finite(found?.peers?.[peer])]));
  const complete = value !== null && Object.values(peers).every((peer) => peer !== null);
  const holds = complete && compare(value, comparator, bound);
  return {
    name,
    metric,
    value,
    unit,
    target: typeof bound === 'number' ? `${comparator} ${bound}` : `${comparator} ${bound.join(' to ')}`,
    holds,
    peers: { ...found?.peers, ...peers },
  };
}

function isFor(entry: Target, one: Measured): boolean {
  return entry.name === one.name && entry.metric === one.metric;
}

function finite(value: number | null | undefined): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

function compare(value: number, comparator: Comparator, bound: Target['value']): boolean {
  const [least, most] = typeof bound === 'number' ? [bound, bound] : bound;
  switch (comparator) {
    case '<=':
      return value <= most;
    case '>=':
      return value >= least;
    case '==':
    case 'within':
      return value >= least && value <= most;
  }
}

/**
 * Writes build/<target>.json and answers the judged figures. A caller ends with status 0 only when {@link allHold}.
 */
export function writeFigures(target: string, measured: readonly Measured[]): Figure[] {
  const figures = judge(target, measured, readTargets());
  mkdirSync(join(ROOT, 'build'), { recursive: true });
  writeFileSync(join(ROOT, 'build', `${target}.json`), `${JSON.stringify(figures, null, 2)}\n`);
  return figures;
}

/** True when every listed figure holds; false also when the list has none, so that a misspelt target cannot pass. */
export function allHold(figures: readonly Figure[]): boolean {
  return figures.some((figure) => figure.target !== null) && figures.every((figure) => figure.holds);
}

/** The figures with a target as lines to print, the ones that do not hold marked. */
export function verdictLines(figures: readonly Figure[]): string[] {
  return figures
    .filter((figure) => figure.target !== null)
    .map(({ name, metric, value, unit, target, holds, peers }) => {
      const beside = Object.entries(peers).map(
        ([peer, figure]) => `${peer} ${figure === null ? 'NOT MEASURED' : round(figure)}`,
      );
      const measured = value === null ? 'NOT MEASURED' : `${round(value)} ${unit}`;
      return `${holds ? 'holds ' : 'MISSES'}  ${name}, ${metric}: ${measured} (${target})${beside.length > 0 ? `; ${beside.join(', ')}` : ''}`;
    });
}

/** Four significant digits are more than any of these measurements has. */
function round(value: number): string {
  return String(Number(value.toPrecision(4)));
}
