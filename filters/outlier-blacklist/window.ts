/** What a host did over a stretch of time. */
import { BY_TIME, ERRORS, FAILURES, REQUESTS, TIMES, timeOfClass } from './row';

@final
export class Window {
  requests: u32 = 0;
  errors: u32 = 0;
  /** Errors that were connection failures. */
  failures: u32 = 0;
  private readonly byTime: StaticArray<u32> = new StaticArray<u32>(TIMES);

  clear(): void {
    this.requests = 0;
    this.errors = 0;
    this.failures = 0;
    memory.fill(changetype<usize>(this.byTime), 0, TIMES * 4);
  }

  /** Adds the counts of a worker's row. */
  addRow(row: usize): void {
    this.requests += load<u32>(row, REQUESTS);
    this.errors += load<u32>(row, ERRORS);
    this.failures += load<u32>(row, FAILURES);
    for (let i = 0; i < TIMES; i++) {
      unchecked((this.byTime[i] += load<u32>(row + ((i as usize) << 2), BY_TIME)));
    }
  }

  add(other: Window): void {
    this.requests += other.requests;
    this.errors += other.errors;
    this.failures += other.failures;
    for (let i = 0; i < TIMES; i++) unchecked((this.byTime[i] += other.byTime[i]));
  }

  copy(other: Window): void {
    this.clear();
    this.add(other);
  }

  /**
   * Makes this what `total` has more than `before`. False, and empty, when it has less of something: a worker has gone
   * or begun again, and what it had counted is no longer in the total.
   */
  difference(total: Window, before: Window): bool {
    this.clear();
    if (total.requests < before.requests || total.errors < before.errors || total.failures < before.failures)
      return false;
    for (let i = 0; i < TIMES; i++) {
      if (unchecked(total.byTime[i]) < unchecked(before.byTime[i])) {
        this.clear();
        return false;
      }
      unchecked((this.byTime[i] = total.byTime[i] - before.byTime[i]));
    }
    this.requests = total.requests - before.requests;
    this.errors = total.errors - before.errors;
    this.failures = total.failures - before.failures;
    return true;
  }

  /** Share of errors, 0–1; 0 without requests. */
  rate(): f64 {
    return this.requests === 0 ? 0 : (this.errors as f64) / (this.requests as f64);
  }

  /** Median time of the successes in ms; -1 when fewer than `least` are known. */
  median(least: u32): f64 {
    let known: u32 = 0;
    for (let i = 0; i < TIMES; i++) known += unchecked(this.byTime[i]);
    if (known === 0 || known < least) return -1;
    let passed: u32 = 0;
    let i = 0;
    for (; i < TIMES - 1; i++) {
      passed += unchecked(this.byTime[i]);
      if (passed * 2 >= known) break;
    }
    return timeOfClass(i);
  }
}
