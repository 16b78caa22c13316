/**
 * What an instance did in about a second, over all workers: rates per second, the same kind of number for each interface.
 * A worker counts sums that only grow; a window is the difference of two looks at them, divided by the time between.
 */

/** Numbers of one interface. */
export enum Count {
  /** Requests that came, refused or not. */
  Offered,
  Admitted,
  /** Answered by the application. */
  Done,
  /** Σ T3 of those, ms. */
  Time,
  /** Σ T2 of those that told it, ms, and their number. */
  Queue,
  Queued,
}
export const COUNTS: i32 = 6;

/** Numbers of the whole instance, behind those of the interfaces. */
export enum Whole {
  /** In flight now, no rate. */
  Open,
  /** Stress-test requests that were admitted. */
  Stress,
  /** Σ of the configured signal, and answers that had it. */
  Signal,
  Signals,
  /** Of the admitted, those that overload-shedding has refused behind the limits. */
  Shed,
}
export const WHOLES: i32 = 5;

@final
export class Window {
  readonly cells: StaticArray<f64>;

  constructor(readonly interfaces: i32) {
    this.cells = new StaticArray<f64>(interfaces * COUNTS + WHOLES);
  }

  clear(): void {
    for (let i = 0; i < this.cells.length; i++) unchecked((this.cells[i] = 0));
  }

  get(i: i32, count: Count): f64 {
    return unchecked(this.cells[i * COUNTS + count]);
  }

  add(i: i32, count: Count, value: f64): void {
    unchecked((this.cells[i * COUNTS + count] += value));
  }

  whole(which: Whole): f64 {
    return unchecked(this.cells[this.interfaces * COUNTS + which]);
  }

  addWhole(which: Whole, value: f64): void {
    unchecked((this.cells[this.interfaces * COUNTS + which] += value));
  }

  sum(count: Count): f64 {
    let sum: f64 = 0;
    for (let i = 0; i < this.interfaces; i++) sum += this.get(i, count);
    return sum;
  }
}
