import type { Measured } from '../figures/figures.ts';
import type { Measures } from './measures.ts';
import { PEERS } from './protections.ts';
import { middleOf, type Result } from './results.ts';
import { SCENARIOS } from './scenarios.ts';
import { ourName, ourVariants } from './steps.ts';

/** From results to the figures of build/bench-overload.json. Their targets are in test/targets.json. */

/** A quantity that has a target somewhere. */
interface Quantity {
  readonly metric: string;
  readonly unit: string;
  /** Which end is the bad one. */
  readonly worst: 'least' | 'most';
  of(measures: Measures): number;
}

const share = (metric: string, of: Quantity['of'], worst: Quantity['worst'] = 'least'): Quantity => {
  return { metric, unit: 'share', worst, of };
};
/** Stands for a recovery that was not seen; longer than any trial. */
const NEVER_MS = 60_000;
const QUANTITIES: readonly Quantity[] = [
  share('goodput of what is possible', ({ goodput }) => goodput),
  share('core class answered', ({ core }) => core),
  share('core class answered, of the ceiling', ({ coreOfCeiling }) => coreOfCeiling),
  share('refused', ({ refused, refusedBefore }) => Math.max(refused, refusedBefore), 'most'),
  share('admitted in the end', ({ admitted }) => admitted),
  { metric: 'p99 of what was let through', unit: 'ms', worst: 'most', of: ({ p99 }) => p99 },
  {
    metric: 'back at 95 % after',
    unit: 'ms',
    worst: 'most',
    of: ({ recovered }) => (Number.isNaN(recovered) ? NEVER_MS : recovered),
  },
];

const OURS = ourVariants().map(({ name }) => name);

/**
 * Every quantity of every scenario: the value is the worst of the ways in which the filter runs (exact and inferred T2, one and two
 * workers), each the median of its seeds; those and the peers stand beside it. Recovery also by what the application reports.
 */
export function overloadFigures(results: readonly Result[]): Measured[] {
  return SCENARIOS.flatMap(({ name: scenario }) => {
    const all = [...OURS, ...Object.values(PEERS)];
    const measured = new Map(all.map((name) => [name, middleOf(results, scenario, name)]));
    const figure = (name: string, quantity: Quantity, variants: readonly string[]): Measured => {
      const value = (variant: string): number | null => {
        const measures = measured.get(variant);
        return measures ? quantity.of(measures) : null;
      };
      const values = variants.map((variant) => value(variant) ?? Number.NaN);
      const beside = all.map((variant) => [variant, value(variant)] as const).filter(([, found]) => found !== null);
      return {
        name,
        metric: quantity.metric,
        value: quantity.worst === 'least' ? Math.min(...values) : Math.max(...values),
        unit: quantity.unit,
        peers: Object.fromEntries(beside),
      };
    };
    if (OURS.every((name) => measured.get(name) === null)) return [];
    const byReport = (['exact', 'inferred'] as const).flatMap((report) =>
      QUANTITIES.filter(({ unit }) => unit === 'ms').map((quantity) =>
        figure(`${scenario}, ${report}`, quantity, [ourName(report, 1), ourName(report, 2)]),
      ),
    );
    return [...QUANTITIES.map((quantity) => figure(scenario, quantity, OURS)), ...byReport];
  });
}
