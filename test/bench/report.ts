import { NAMES, type Profile } from './profiles.ts';
import type { Case } from './rig.ts';
import { middle, type Sample } from './rounds.ts';
import { pairedDifference, spread } from './stats.ts';

/** Samples of one profile, by variant. */
export type ByVariant = ReadonlyMap<string, readonly Sample[]>;

export function ofProfile(samples: ReadonlyMap<Case, readonly Sample[]>, profile: Profile): ByVariant {
  return new Map(
    [...samples].filter(([one]) => one.profile === profile).map(([one, list]) => [one.variant.name, list]),
  );
}

export function micros(samples: readonly Sample[] | undefined): number[] {
  return (samples ?? []).map((sample) => sample.micros);
}

/** How much more CPU per request `name` takes than `base`, µs: the middle of the differences within each round. */
export function microsOver(variants: ByVariant, name: string, base: string): number {
  return pairedDifference(micros(variants.get(name)), micros(variants.get(base)));
}

/** The table of one profile: every variant beside the empty filter and beside none. */
export function profileTable(profile: Profile, variants: ByVariant): string {
  const head = ['', 'µs/request', '±', 'over floor', 'of no filter', 'k instructions', 'over floor', 'requests/s'];
  const floor = middle(variants.get(NAMES.floor) ?? []);
  const none = middle(variants.get(NAMES.none) ?? []);
  const rows = [...variants].map(([name, samples]) => {
    const mid = middle(samples);
    return [
      name,
      mid.micros.toFixed(1),
      spread(micros(samples)).toFixed(1),
      signed(microsOver(variants, name, NAMES.floor)),
      `${((100 * mid.micros) / none.micros).toFixed(0)} %`,
      fixed(mid.kiloInstructions),
      signed(mid.kiloInstructions - floor.kiloInstructions),
      mid.rate.toFixed(0),
    ];
  });
  return `${profile}\n${table([head, ...rows])}`;
}

function signed(value: number): string {
  return Number.isFinite(value) ? `${value >= 0 ? '+' : '−'}${Math.abs(value).toFixed(1)}` : '–';
}

function fixed(value: number): string {
  return Number.isFinite(value) ? value.toFixed(1) : '–';
}

/** Columns as wide as their widest cell; the first to the left, the others to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows
    .map((row) =>
      row.map((cell, n) => (n === 0 ? cell.padEnd(widths[n] ?? 0) : cell.padStart(widths[n] ?? 0))).join('  '),
    )
    .map((line) => `  ${line.trimEnd()}\n`)
    .join('');
}
