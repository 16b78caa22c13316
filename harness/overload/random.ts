/** Seeded random numbers: the same seed gives the same arrivals, users and service times on every machine. */
export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** A generator of its own for one purpose, so that drawing more for one does not shift the others. */
  fork(purpose: number): Random {
    return new Random(Math.imul(this.state ^ purpose, 0x9e37_79b1) ^ (purpose << 16));
  }

  /** Uniform in [0, 1). Mulberry32. */
  next(): number {
    this.state = (this.state + 0x6d2b_79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  exponential(mean: number): number {
    return -mean * Math.log(1 - this.next());
  }

  /** A whole number from 0 to `count`, less one. */
  below(count: number): number {
    return Math.floor(this.next() * count);
  }
}
