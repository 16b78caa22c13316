import { Random } from '../fuzz/reference/random.ts';

/** One request on its way through a simulated application; times in ms. */
export interface Job {
  readonly interface: number;
  readonly arrived: number;
  started: number;
  ended: number;
}

/** Poisson arrivals: times and interfaces, in order of time. `rateOf` per second and interface at a time in ms. */
export function arrivals(
  interfaces: number,
  until: number,
  rateOf: (i: number, at: number) => number,
  seed: number,
): Job[] {
  const jobs: Job[] = [];
  for (let i = 0; i < interfaces; i++) {
    const random = new Random(seed * 31 + i);
    // Thinning: drawn at the highest rate that any moment has, kept by the moment's share of it.
    const top = Math.max(...Array.from({ length: until / 100 }, (_, n) => rateOf(i, n * 100)));
    for (let at = 0; top > 0; ) {
      at += (-Math.log(1 - random.below(1 << 30) / (1 << 30)) / top) * 1000;
      if (at >= until) break;
      if (random.chance(rateOf(i, at) / top)) jobs.push({ interface: i, arrived: at, started: 0, ended: 0 });
    }
  }
  return jobs.sort((a, b) => a.arrived - b.arrived);
}

/** First come, first served, by `slots` at once, `serviceMs` each: what is admitted is worked off, also when nobody waits for it any more. */
export class Application {
  readonly #free: number[];
  readonly #serviceMs: number;

  constructor(slots: number, serviceMs: number) {
    this.#serviceMs = serviceMs;
    this.#free = Array.from({ length: slots }, () => 0);
  }

  /** Takes a job in, in order of arrival; its start and end are known at once. */
  admit(job: Job): void {
    let first = 0;
    for (const [slot, free] of this.#free.entries()) if (free < (this.#free[first] ?? 0)) first = slot;
    job.started = Math.max(job.arrived, this.#free[first] ?? 0);
    job.ended = job.started + this.#serviceMs;
    this.#free[first] = job.ended;
  }
}
