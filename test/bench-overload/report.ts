import { table } from '../bench/report.ts';
import { PEERS } from './protections.ts';
import { middleOf, type Result } from './results.ts';
import { after, fullCapacity, SCENARIOS, type Scenario, scenario } from './scenarios.ts';
import { type Chart, chartSvg, type Line, type Row } from './svg.ts';

const HEAD = [
  '',
  'goodput/s',
  'of possible',
  'core',
  'of ceiling',
  'p50 ms',
  'p99 ms',
  'refused',
  'before',
  '1st second',
  'back after ms',
];

/** One table of everything that was measured: medians over the seeds. */
export function resultTable(results: readonly Result[]): string {
  return SCENARIOS.filter(({ name }) => results.some((one) => one.scenario === name))
    .map((one) => `${one.name} (${fullCapacity(one)}/s)\n${table([HEAD, ...rows(one, results)])}`)
    .join('\n');
}

function rows({ name }: Scenario, results: readonly Result[]): string[][] {
  const variants = [...new Set(results.filter((one) => one.scenario === name).map(({ variant }) => variant))];
  return variants.map((variant) => {
    const m = middleOf(results, name, variant);
    if (m === null) return [variant];
    return [
      variant,
      m.perSecond.toFixed(0),
      percent(m.goodput),
      percent(m.core),
      percent(m.coreOfCeiling),
      m.p50.toFixed(0),
      m.p99.toFixed(0),
      percent(m.refused),
      percent(m.refusedBefore),
      m.firstSecond.toFixed(0),
      Number.isNaN(m.recovered) ? 'never' : m.recovered.toFixed(0),
    ];
  });
}

function percent(value: number): string {
  return `${(100 * value).toFixed(1)} %`;
}

/** Scenarios whose course is drawn, where there are results of them. */
const DRAWN = ['2×', '5×', '10×', 'half speed'];

/** Goodput and latency over time, each line one variant's first seed. `ours` names the variant that gets the first colour. */
export function resultChart(results: readonly Result[], ours: string): string {
  const names = [ours, ...Object.values(PEERS)].filter((name) => results.some(({ variant }) => variant === name));
  const colour = (name: string): number => (name === ours ? 0 : Object.values(PEERS).indexOf(name as never) + 1);
  const drawn = DRAWN.map(scenario).filter((one) => results.some((result) => result.scenario === one.name));
  const lines = (one: Scenario, pick: 'goodput' | 'p99'): Line[] =>
    names.flatMap((name) => {
      const found = results.find((r) => r.scenario === one.name && r.variant === name && r.series !== null);
      if (!found?.series) return [];
      return [{ name, colour: colour(name), points: found.series.map((point) => [point.at, point[pick]] as const) }];
    });
  const row = (title: string, pick: 'goodput' | 'p99', most: number, mark: Row['panels'][number]['mark']): Row => ({
    title,
    panels: drawn.map((one) => ({
      title: one.name.endsWith('×') ? `load steps from 0.5× to ${one.name}` : `${one.name} at 0.8×`,
      lines: lines(one, pick),
      x: [-one.step / 1_000, (after(one).to - one.step) / 1_000],
      yMost: most,
      mark,
    })),
  });
  const chart: Chart = {
    title: 'Goodput and latency of an application of 400 requests per second under overload',
    xTitle: 'seconds since the step; callers give up after 250 ms; quarters of a second, one seed',
    legend: names.map((name) => ({ name, colour: colour(name) })),
    rows: [
      row('good answers per second', 'goodput', 450, { y: 400, label: 'capacity' }),
      row('p99 of what was let through, ms', 'p99', 300, { y: 60, label: '60 ms' }),
    ],
  };
  return chartSvg(chart);
}
