import { Latencies } from './latency.ts';
import type { Figures, Series } from './model.ts';

/** Time that one point of history stands for. */
export const STEP_MS = 5_000;
/** Points kept: fifteen minutes. */
export const STEPS = 180;
/** Finished steps, beside the one that is going on, over which figures are taken. */
const WINDOW_STEPS = 3;

interface Step {
  calls: number;
  /** Calls whose end was seen, and how many of them failed. */
  ended: number;
  errors: number;
  readonly times: Latencies;
}

/** Calls of one edge or place: the figures of the last seconds and fifteen minutes of points. Its size is fixed. */
export class CallRecord {
  private readonly steps: Step[] = [newStep()];
  private readonly calls: number[] = [];
  private readonly errors: number[] = [];
  private readonly p50: (number | null)[] = [];
  private readonly p99: (number | null)[] = [];

  count(calls: number): void {
    this.current.calls += calls;
  }

  end(milliseconds: number, failed: boolean): void {
    const { current } = this;
    current.ended += 1;
    if (failed) current.errors += 1;
    current.times.add(milliseconds);
  }

  /** Ends a step. */
  advance(): void {
    const { calls, errors, times } = this.current;
    keep(this.calls, calls);
    keep(this.errors, errors);
    keep(this.p50, times.quantile(0.5));
    keep(this.p99, times.quantile(0.99));
    this.steps.push(newStep());
    if (this.steps.length > WINDOW_STEPS + 1) this.steps.shift();
  }

  figures(windowSeconds: number): Figures {
    const times = new Latencies();
    let [calls, ended, errors] = [0, 0, 0];
    for (const step of this.steps) {
      calls += step.calls;
      ended += step.ended;
      errors += step.errors;
      times.merge(step.times);
    }
    return {
      rate: windowSeconds > 0 ? calls / windowSeconds : 0,
      errorShare: ended > 0 ? errors / ended : null,
      p50: times.quantile(0.5),
      p99: times.quantile(0.99),
    };
  }

  /** `steps` points, the missing ones of a record that is younger filled up with nothing. */
  series(steps: number): Series {
    const missing = Math.max(0, steps - this.calls.length);
    const nothing = <T>(value: T) => Array.from({ length: missing }, () => value);
    return {
      calls: [...nothing(0), ...this.calls.slice(-steps)],
      errors: [...nothing(0), ...this.errors.slice(-steps)],
      p50: [...nothing(null), ...this.p50.slice(-steps)],
      p99: [...nothing(null), ...this.p99.slice(-steps)],
    };
  }

  private get current(): Step {
    return this.steps.at(-1) as Step;
  }
}

/** When steps begin and end, for all records alike. */
export class Steps {
  /** Finished steps, at most as many as are kept. */
  finished = 0;
  private readonly starts: number[];

  constructor(now: number) {
    this.starts = [now];
  }

  /** How many steps have ended by now, at most as many as are kept. */
  advance(now: number): number {
    const ended = Math.floor((now - this.latest) / STEP_MS);
    if (ended >= STEPS) {
      // The machine has slept: nothing of before counts.
      this.starts.splice(0, this.starts.length, now);
    } else {
      for (let n = 0; n < ended; n++) this.starts.push(this.latest + STEP_MS);
      this.starts.splice(0, Math.max(0, this.starts.length - (WINDOW_STEPS + 1)));
    }
    this.finished = Math.min(STEPS, this.finished + ended);
    return Math.min(STEPS, ended);
  }

  get latest(): number {
    return this.starts.at(-1) ?? 0;
  }

  windowSeconds(now: number): number {
    return Math.max(0, now - (this.starts[0] ?? now)) / 1000;
  }
}

function newStep(): Step {
  return { calls: 0, ended: 0, errors: 0, times: new Latencies() };
}

function keep<T>(ring: T[], value: T): void {
  ring.push(value);
  if (ring.length > STEPS) ring.shift();
}
