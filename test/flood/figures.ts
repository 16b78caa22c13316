import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** One figure as every benchmark and drill writes it. */
export interface Figure {
  readonly name: string;
  readonly metric: string;
  readonly value: number;
  readonly unit: string;
  /** In words; null = information only. */
  readonly target: string | null;
  readonly holds: boolean;
  readonly peers: Readonly<Record<string, number>>;
}

interface Target {
  readonly name: string;
  readonly metric: string;
  readonly unit: string;
  readonly least?: number;
  readonly most?: number;
}

/** A measured value; its target, if there is one, is found by its metric. */
export interface Measured {
  readonly metric: string;
  readonly value: number;
  readonly unit: string;
}

const TARGETS = join(import.meta.dirname, 'targets.json');
const OUTPUT = join(import.meta.dirname, '../../build/flood.json');

/** Judges what was measured by the committed list and writes build/flood.json. Throws when a target was not measured. */
export function writeFigures(measured: readonly Measured[]): Figure[] {
  const targets = JSON.parse(readFileSync(TARGETS, 'utf8')) as Target[];
  for (const { metric } of targets) {
    if (!measured.some((one) => one.metric === metric)) throw new Error(`no value for the target "${metric}"`);
  }
  const figures = measured.map((one): Figure => {
    const target = targets.find(({ metric }) => metric === one.metric);
    const holds = target === undefined || within(one.value, target);
    return { name: 'flood', ...one, target: target === undefined ? null : words(target), holds, peers: {} };
  });
  mkdirSync(join(OUTPUT, '..'), { recursive: true });
  writeFileSync(OUTPUT, `${JSON.stringify(figures, null, 2)}\n`);
  return figures;
}

function within(value: number, { least, most }: Target): boolean {
  return value >= (least ?? Number.NEGATIVE_INFINITY) && value <= (most ?? Number.POSITIVE_INFINITY);
}

function words({ least, most }: Target): string {
  return [least === undefined ? [] : `>= ${least}`, most === undefined ? [] : `<= ${most}`].flat().join(', ');
}
