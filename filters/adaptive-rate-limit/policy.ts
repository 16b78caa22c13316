import { Baseline, Cell } from './baseline';
import { regulate } from './regulator';
import { ResourceDetection } from './resource';
import { Count, Whole, Window } from './window';

/**
 * The adaptive limit as a whole, one step a second: resource detection → stress-test traffic → baseline → regulator. The
 * decision on each request is made by token buckets (buckets.ts) at the rates that stand in `limitOf`.
 *
 * Pure: no host, no clock. One worker, the leader, takes the steps; its state is published and read by all, so that
 * another one can go on where it ended.
 */

/** A limited interface whose level is calm may admit stress-test traffic again, a little more each second. */
const STRESS_CALM_SECONDS: f64 = 3;
const STRESS_STEP: f64 = 0.125;
/** Stress-test traffic of less than this part of all can't be what it is about. */
const STRESS_PART: f64 = 0.05;

/** Numbers of `state` before the interfaces' cells. */
enum Head {
  Above,
  Level,
  CalmSeconds,
  StressShare,
  StressCalm,
}
const HEADS: i32 = 5;

@final
export class AdaptivePolicy {
  readonly detection: ResourceDetection;
  readonly baseline: Baseline;
  /** Part of stress-test traffic that is admitted: 1 unless the instance is, or lately was, short. */
  stressShare: f64 = 1;
  private stressCalm: f64 = 0;

  constructor(
    readonly interfaces: i32,
    after: f64,
  ) {
    this.detection = new ResourceDetection(after);
    this.baseline = new Baseline(interfaces);
  }

  /**
   * One second has passed. `level`: see `ResourceDetection.look`; `pressure`: that of the signals which are no queue, 0
   * without any.
   */
  step(window: Window, level: f64, pressure: f64): void {
    const detection = this.detection;
    const limited = this.limits() > 0;
    detection.look(level);
    if (!detection.hot) {
      if (limited) regulate(this.baseline, window, false, 0);
      else if (level >= 0) this.baseline.learn(window);
      if (this.stressShare < 1 && ++this.stressCalm > STRESS_CALM_SECONDS) {
        this.stressShare = min(this.stressShare + STRESS_STEP, 1);
      }
      return;
    }
    const excess = this.baseline.excess(window, pressure);
    if (limited) regulate(this.baseline, window, true, excess);
    if (!detection.short) return;
    // Where stress-test traffic may be the cause, a second is given to see whether refusing it was enough.
    const stressed = window.whole(Whole.Stress) > STRESS_PART * window.sum(Count.Admitted);
    const first = this.stressShare > 0;
    this.stressCalm = 0;
    this.stressShare = 0;
    if (!first || !stressed) this.baseline.snapshot(window, excess);
  }

  /** Requests per second that the interface may send; negative = no limit. */
  limitOf(i: i32): f64 {
    return this.baseline.get(i, Cell.Limit);
  }

  /** Interfaces that are limited now. */
  limits(): i32 {
    let count = 0;
    for (let i = 0; i < this.interfaces; i++) if (this.baseline.limited(i)) count++;
    return count;
  }

  /** Whether stress-test traffic has to be told apart: it is refused, or soon might be. */
  get watchesStress(): bool {
    return this.detection.hot || this.stressShare < 1;
  }

  /** Numbers of the whole state. */
  get stateSize(): i32 {
    return HEADS + this.baseline.cells.length;
  }

  /** Writes the state behind `at`, `stateSize` numbers of 8 bytes. */
  save(at: usize): void {
    store<f64>(at + ((Head.Above as usize) << 3), this.detection.above);
    store<f64>(at + ((Head.Level as usize) << 3), this.detection.level);
    store<f64>(at + ((Head.CalmSeconds as usize) << 3), this.baseline.calmSeconds);
    store<f64>(at + ((Head.StressShare as usize) << 3), this.stressShare);
    store<f64>(at + ((Head.StressCalm as usize) << 3), this.stressCalm);
    memory.copy(at + (HEADS << 3), changetype<usize>(this.baseline.cells), this.baseline.cells.length << 3);
  }

  /** Takes over what `save` has written. */
  restore(at: usize): void {
    this.detection.above = load<f64>(at + ((Head.Above as usize) << 3));
    this.detection.level = load<f64>(at + ((Head.Level as usize) << 3));
    this.baseline.calmSeconds = load<f64>(at + ((Head.CalmSeconds as usize) << 3));
    this.stressShare = load<f64>(at + ((Head.StressShare as usize) << 3));
    this.stressCalm = load<f64>(at + ((Head.StressCalm as usize) << 3));
    memory.copy(changetype<usize>(this.baseline.cells), at + (HEADS << 3), this.baseline.cells.length << 3);
  }
}
