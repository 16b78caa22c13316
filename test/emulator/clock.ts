interface Timer {
  at: bigint;
  readonly order: number;
  readonly fire: () => void;
}

const MILLISECOND = 1_000_000n;

/** Time that moves only when a test moves it. Timers fire in order of time, then of creation. */
export class Clock {
  #now: bigint;
  #timers = new Set<Timer>();
  #created = 0;

  /** @param start nanoseconds since 1970; a fixed date, so that tests repeat. */
  constructor(start = 1_700_000_000_000_000_000n) {
    this.#now = start;
  }

  /** Nanoseconds since 1970. */
  get now(): bigint {
    return this.#now;
  }

  /** Calls `fire` once, `ms` milliseconds from now; the result cancels it. */
  after(ms: number, fire: () => void): () => void {
    const timer: Timer = { at: this.#now + BigInt(Math.round(ms * 1e6)), order: this.#created++, fire };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Moves time forward, firing every timer that falls due on the way at its own time. */
  advance(ms: number): void {
    const end = this.#now + BigInt(Math.round(ms * 1e6));
    for (;;) {
      const due = [...this.#timers].filter((timer) => timer.at <= end).sort(byTime)[0];
      if (due === undefined) break;
      this.#timers.delete(due);
      if (due.at > this.#now) this.#now = due.at;
      due.fire();
    }
    this.#now = end;
  }

  /** The wall clock is set to another time, as by its administrator: no time passes, so that no timer is nearer or farther. */
  jump(ms: number): void {
    const by = BigInt(Math.round(ms * 1e6));
    this.#now += by;
    for (const timer of this.#timers) timer.at += by;
  }

  /** Milliseconds since 1970, for messages. */
  get ms(): number {
    return Number(this.#now / MILLISECOND);
  }
}

function byTime(a: Timer, b: Timer): number {
  if (a.at !== b.at) return a.at < b.at ? -1 : 1;
  return a.order - b.order;
}
