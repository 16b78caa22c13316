import { measure } from './measures.ts';
import { type Protection, shedding, stockProtections } from './protections.ts';
import type { Result } from './results.ts';
import { after, fullCapacity, SCENARIOS, type Scenario } from './scenarios.ts';
import { series } from './series.ts';
import { runTrial } from './trial.ts';

/** Something whose results stand beside each other: a protection, the workers of its Envoy, and what the application reports. */
export interface Variant {
  readonly name: string;
  readonly workers: number;
  readonly queueHeader: string;
  protection(scenario: Scenario): Protection;
}

/** A part of the whole run, of at most twenty minutes. */
export interface Step {
  readonly name: string;
  readonly shows: string;
  readonly scenarios: readonly Scenario[];
  readonly variants: readonly Variant[];
}

/** Scenarios in which the peers are measured: those that are about protection as such. */
const PEER_SCENARIOS = [
  '0.8×',
  '1×',
  '2×',
  '5×',
  '10×',
  'dependency 10→150 ms',
  'half speed',
  '2× of 50/s',
  '2× of 5,000/s',
];

export function stockVariants(): Variant[] {
  return stockProtections(1, 1).map(({ name }, n) => ({
    name,
    workers: 1,
    queueHeader: '',
    protection: (one) => stockProtections(fullCapacity(one), one.slots)[n] as Protection,
  }));
}

/** What the application reports, in words and as its header. */
const REPORTS = [
  { report: 'exact', queueTime: 'header', queueHeader: 'x-queue-ms' },
  { report: 'inferred', queueTime: 'none', queueHeader: '' },
] as const;

const WORKERS = [1, 2] as const;

export function ourName(report: (typeof REPORTS)[number]['report'], workers: (typeof WORKERS)[number]): string {
  return `overload-shedding, ${report}, ${workers} worker${workers === 1 ? '' : 's'}`;
}

/** Every way in which the filter has to hold its bars. */
export function ourVariants(): Variant[] {
  return REPORTS.flatMap(({ report, queueTime, queueHeader }) =>
    WORKERS.map((workers) => {
      const name = ourName(report, workers);
      return { name, workers, queueHeader, protection: () => shedding(name, queueTime) };
    }),
  );
}

export function steps(): Step[] {
  const peers: Step = {
    name: 'peers',
    shows: 'what stock Envoy offers',
    scenarios: SCENARIOS.filter(({ name }) => PEER_SCENARIOS.includes(name)),
    variants: stockVariants(),
  };
  const ours = ourVariants().map((variant): Step => {
    return { name: variant.name, shows: variant.name, scenarios: SCENARIOS, variants: [variant] };
  });
  return [peers, ...ours];
}

/** Above this the load generator did not get the time it needs, and latencies are its own, milliseconds. */
const BELIEVED_LAG_MS = 100;

/** Runs the trials of a step, every variant in turn before the next scenario and all scenarios before the next seed. */
export async function runStep(
  { name, scenarios, variants }: Step,
  seeds: readonly number[],
  progress: (line: string, result: Result) => void,
): Promise<Result[]> {
  const results: Result[] = [];
  const of = seeds.length * scenarios.length * variants.length;
  for (const seed of seeds) {
    for (const scenario of scenarios) {
      for (const variant of variants) {
        const { workers, queueHeader } = variant;
        const { requests, worstLagMs } = await runTrial({
          scenario,
          protection: variant.protection(scenario),
          workers,
          seed,
          queueHeader,
        });
        const measures = measure(scenario, requests, worstLagMs);
        const course = seed === seeds[0] ? series(requests, scenario.step, after(scenario).to) : null;
        const result = { scenario: scenario.name, variant: variant.name, seed, measures, series: course };
        results.push(result);
        const late = worstLagMs > BELIEVED_LAG_MS ? `; the load was ${worstLagMs.toFixed(0)} ms late at worst` : '';
        const done = `${name}: ${results.length} of ${of}: ${scenario.name}, ${variant.name}`;
        progress(`${done}: ${measures.perSecond.toFixed(0)}/s good${late}`, result);
      }
    }
  }
  return results;
}
