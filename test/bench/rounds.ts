import type { MeasuredEnvoy } from './envoy.ts';
import { runLoad } from './load.ts';
import type { Pinning } from './rig.ts';
import { median } from './stats.ts';

/** What one round of one case cost. */
export interface Sample {
  /** CPU time of the worker per request, µs. */
  micros: number;
  /** Instructions of the worker per request, thousands; NaN without counters. */
  kiloInstructions: number;
  /** Answered requests per second. */
  rate: number;
}

/** Something that can be put under load. */
export interface Measurable {
  readonly sut: MeasuredEnvoy;
  readonly url: string;
  readonly script: string;
  /** Load that must come first in every round, unmeasured. */
  readonly teach: { readonly url: string; readonly script: string } | null;
}

export interface RoundsOptions {
  rounds: number;
  seconds: number;
  connections: number;
  pinning: Pinning;
  progress(done: number, of: number): void;
}

/**
 * Measures all cases in turn, round after round, every other round backwards: a machine that gets slower or a neighbour that
 * comes and goes weighs on all of them alike. A round before the first warms up and is thrown away.
 */
export async function alternate<T extends Measurable>(
  cases: readonly T[],
  options: RoundsOptions,
): Promise<Map<T, Sample[]>> {
  const samples = new Map<T, Sample[]>(cases.map((one) => [one, []]));
  const of = (options.rounds + 1) * cases.length;
  let done = 0;
  for (let round = -1; round < options.rounds; round++) {
    const order = round % 2 === 0 ? cases : [...cases].reverse();
    for (const one of order) {
      const sample = await measure(one, options);
      if (round >= 0) samples.get(one)?.push(sample);
      options.progress(++done, of);
    }
  }
  return samples;
}

async function measure(one: Measurable, { seconds, connections, pinning }: RoundsOptions): Promise<Sample> {
  await teach(one, pinning);
  const { sut } = one;
  const before = sut.workerCpuNs();
  const load = await runLoad({
    url: one.url,
    script: one.script,
    seconds,
    connections,
    cpus: pinning.rest,
    watch: sut.workers(),
  });
  const spent = sut.workerCpuNs() - before;
  if (load.failed > 0) throw new Error(`${one.url}: ${load.failed} of ${load.requests} requests failed`);
  return {
    micros: spent / 1_000 / load.requests,
    kiloInstructions: load.instructions / 1_000 / load.requests,
    rate: load.requests / load.seconds,
  };
}

/** Sends the requests that make a case's known trace ids known. */
export async function teach(one: Pick<Measurable, 'teach'>, pinning: Pinning): Promise<void> {
  if (one.teach === null) return;
  await runLoad({ ...one.teach, seconds: 1, connections: 16, cpus: pinning.rest });
}

/** The middle of every quantity over the rounds. */
export function middle(samples: readonly Sample[]): Sample {
  const of = (pick: (sample: Sample) => number): number => median(samples.map(pick));
  return { micros: of((s) => s.micros), kiloInstructions: of((s) => s.kiloInstructions), rate: of((s) => s.rate) };
}
