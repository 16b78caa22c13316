import { Count, Whole, Window } from './window';

/**
 * Baseline: what each interface does while all is well, and so which of them has risen when it is not.
 *
 * Work of an interface = what it keeps busy: admitted per second × seconds that one request is worked on (T3 without
 * waiting), which is the number of workers, cores or connections that it occupies on average.
 *
 * Waiting is T2 where the application tells it. Where not, a queue lengthens everybody's T3 alike, so that the mean
 * rise of T3 over its calm value is taken for the time waited.
 */

/** Numbers kept of one interface; `Limit` is what the regulator makes of them. */
export enum Cell {
  /** Requests per second; negative = none. */
  Limit,
  /** Seconds in which the limit was more than enough. */
  Spare,
  /** While calm: work, requests per second, ms of work per request. */
  Work,
  Rate,
  Service,
}
export const CELLS: i32 = 5;

export const NO_LIMIT: f64 = -1;

/** Seconds that the averages look back. */
const MEMORY: f64 = 30;
/** Share of all work that the heavy interfaces cover. */
const HEAVY: f64 = 0.8;
/** Risen: so many times its calm work … */
const RISEN: f64 = 1.5;
/** … by so much of all work. */
const RISE: f64 = 0.05;
/** An inferred wait may be so many times as long. */
const DOUBT: f64 = 1.5;
/** Seconds in which a queue that has gathered is to be worked off. */
const DRAIN_SECONDS: f64 = 1;

@final
export class Baseline {
  /** `CELLS` numbers for each interface. */
  readonly cells: StaticArray<f64>;
  /** Calm seconds that the averages know, up to `MEMORY`. */
  calmSeconds: f64 = 0;
  private readonly work: StaticArray<f64>;
  private readonly service: StaticArray<f64>;
  private readonly heavy: StaticArray<bool>;

  constructor(readonly interfaces: i32) {
    this.cells = new StaticArray<f64>(interfaces * CELLS);
    this.work = new StaticArray<f64>(interfaces);
    this.service = new StaticArray<f64>(interfaces);
    this.heavy = new StaticArray<bool>(interfaces);
    for (let i = 0; i < interfaces; i++) this.set(i, Cell.Limit, NO_LIMIT);
  }

  get(i: i32, cell: Cell): f64 {
    return unchecked(this.cells[i * CELLS + cell]);
  }

  set(i: i32, cell: Cell, value: f64): void {
    unchecked((this.cells[i * CELLS + cell] = value));
  }

  limited(i: i32): bool {
    return this.get(i, Cell.Limit) >= 0;
  }

  /** A calm second: the averages learn from it. */
  learn(window: Window): void {
    this.measure(window);
    const share = 1 / min(++this.calmSeconds, MEMORY);
    this.calmSeconds = min(this.calmSeconds, MEMORY);
    for (let i = 0; i < this.interfaces; i++) {
      this.approach(i, Cell.Work, unchecked(this.work[i]), share);
      this.approach(i, Cell.Rate, window.get(i, Count.Admitted), share);
      if (window.get(i, Count.Done) <= 0) continue;
      const known = this.get(i, Cell.Service) > 0;
      this.approach(i, Cell.Service, unchecked(this.service[i]), known ? share : 1);
    }
  }

  /**
   * Work beyond what can be done: what was admitted and not done, with what has gathered, which is to be worked off in
   * `DRAIN_SECONDS`; at least the part by which `pressure`, which no queue shows, is above its threshold of 1.
   */
  excess(window: Window, pressure: f64): f64 {
    this.measure(window);
    let all: f64 = 0;
    let done: f64 = 0;
    for (let i = 0; i < this.interfaces; i++) {
      all += unchecked(this.work[i]);
      done += (window.get(i, Count.Done) * unchecked(this.service[i])) / 1000;
    }
    const answered = window.sum(Count.Done);
    const each = answered > 0 ? done / answered : 0;
    const waiting = max(window.whole(Whole.Open) - done, 0);
    const over = pressure > 1 ? all * (1 - 1 / pressure) : 0;
    return max(max(all - done, 0) + (waiting * each) / DRAIN_SECONDS, over);
  }

  /** Work of the limited interfaces in the window measured last. */
  limitedWork(): f64 {
    let sum: f64 = 0;
    for (let i = 0; i < this.interfaces; i++) if (this.limited(i)) sum += unchecked(this.work[i]);
    return sum;
  }

  /** Limits those of the heaviest interfaces that have risen, each by its part of `excess`. Answers how many. */
  snapshot(window: Window, excess: f64): i32 {
    const all = this.markHeavy();
    let rise: f64 = 0;
    for (let i = 0; i < this.interfaces; i++) if (this.risen(i, all)) rise += this.riseOf(i);
    if (!(rise > 0)) return 0;
    let made = 0;
    for (let i = 0; i < this.interfaces; i++) {
      if (!this.risen(i, all)) continue;
      const seconds = unchecked(this.service[i]) / 1000;
      const share = (excess * this.riseOf(i)) / rise;
      const cut = seconds > 0 ? share / seconds : 0;
      this.set(i, Cell.Limit, max(max(this.get(i, Cell.Rate), window.get(i, Count.Admitted) - cut), 1));
      this.set(i, Cell.Spare, 0);
      made++;
    }
    return made;
  }

  /** Heavy, above its calm work, and not limited yet. Who was never met while calm is new, and counts. */
  private risen(i: i32, all: f64): bool {
    if (!unchecked(this.heavy[i]) || this.limited(i)) return false;
    return unchecked(this.work[i]) > RISEN * this.get(i, Cell.Work) && this.riseOf(i) > RISE * all;
  }

  private riseOf(i: i32): f64 {
    return unchecked(this.work[i]) - this.get(i, Cell.Work);
  }

  /** The smallest set of interfaces that covers `HEAVY` of all work. Answers all work. */
  private markHeavy(): f64 {
    let all: f64 = 0;
    for (let i = 0; i < this.interfaces; i++) {
      all += unchecked(this.work[i]);
      unchecked((this.heavy[i] = false));
    }
    for (let covered: f64 = 0; covered < HEAVY * all; ) {
      let heaviest = -1;
      for (let i = 0; i < this.interfaces; i++) {
        if (unchecked(this.heavy[i])) continue;
        if (heaviest < 0 || unchecked(this.work[i]) > unchecked(this.work[heaviest])) heaviest = i;
      }
      if (heaviest < 0) break;
      unchecked((this.heavy[heaviest] = true));
      covered += unchecked(this.work[heaviest]);
    }
    return all;
  }

  /** Work and service time of each interface in this window. */
  private measure(window: Window): void {
    const queued = window.sum(Count.Queued);
    const told = queued > 0;
    const waited = told ? window.sum(Count.Queue) / queued : this.inferredWait(window);
    for (let i = 0; i < this.interfaces; i++) {
      const done = window.get(i, Count.Done);
      const own = window.get(i, Count.Queued);
      const calm = this.get(i, Cell.Service);
      let service = calm;
      if (done > 0) {
        const time = window.get(i, Count.Time) / done;
        const wait = own > 0 ? window.get(i, Count.Queue) / own : waited;
        // What is only inferred is coarse: a known interface is dearer than it was when that shows beside the queue.
        service = told || calm === 0 ? max(time - wait, 0) : calm + max(time - calm - DOUBT * wait, 0);
      }
      unchecked((this.service[i] = service));
      unchecked((this.work[i] = (window.get(i, Count.Admitted) * service) / 1000));
    }
  }

  /** Mean wait of this window's requests in ms, as far as their T3 shows it; 0 while no calm T3 is known. */
  inferredWait(window: Window): f64 {
    let rise: f64 = 0;
    let known: f64 = 0;
    for (let i = 0; i < this.interfaces; i++) {
      const calm = this.get(i, Cell.Service);
      if (!(calm > 0)) continue;
      const done = window.get(i, Count.Done);
      rise += window.get(i, Count.Time) - done * calm;
      known += done;
    }
    return known > 0 ? max(rise / known, 0) : 0;
  }

  private approach(i: i32, cell: Cell, value: f64, share: f64): void {
    const before = this.get(i, cell);
    this.set(i, cell, before + (value - before) * share);
  }
}
