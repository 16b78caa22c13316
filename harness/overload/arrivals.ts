import type { Arrival, LoadPlan, Phase } from './plan.ts';
import { Random } from './random.ts';

/** All arrivals of a plan in the order of time. */
export function* arrivals(plan: Pick<LoadPlan, 'streams' | 'seed'>): Generator<Arrival, void> {
  const random = new Random(plan.seed);
  const sources = plan.streams.map(({ phases, twinOf }, stream) => ({
    stream,
    times: poisson(phases, random.fork((twinOf ?? stream) + 1)),
  }));
  const next = sources.map(({ times }) => times.next());
  for (;;) {
    let first = -1;
    let at = Number.POSITIVE_INFINITY;
    next.forEach((one, n) => {
      if (one.done !== true && one.value < at) {
        first = n;
        at = one.value;
      }
    });
    const source = sources[first];
    if (source === undefined) return;
    yield { at, stream: source.stream };
    next[first] = source.times.next();
  }
}

/** Milliseconds of the arrivals of one stream. A gap that crosses into a phase of another rate is drawn anew from there. */
function* poisson(phases: readonly Phase[], random: Random): Generator<number, void> {
  let start = 0;
  for (const { seconds, perSecond } of phases) {
    const end = start + seconds * 1_000;
    if (perSecond > 0) {
      const mean = 1_000 / perSecond;
      for (let at = start + random.exponential(mean); at < end; at += random.exponential(mean)) yield at;
    }
    start = end;
  }
}
