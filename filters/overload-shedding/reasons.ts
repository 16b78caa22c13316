import { Estimator } from './estimator';

/** For how long T2, growth and CPU must be over before they make the state hot. */
const QUEUE_MS: f64 = 200;
const GROWTH_MS: f64 = 300;
const CPU_MS: f64 = 2000;
/** T2 is believed after so many completions at least. */
const QUEUE_COMPLETIONS: f64 = 20;
const CPU_OVER: f64 = 0.85;
/** Ticks over which requests in flight must grow, and by how many standard deviations of their number. */
const GROWTH_TICKS: i32 = 4;
const GROWTH_LEAST: f64 = 6;
const GROWTH_DEVIATIONS: f64 = 4;

/** What makes the state hot although the caps have room: a queue, requests that pile up, no CPU left. Looked at on the tick. */
@final
export class Reasons {
  private queueSince: f64 = 0;
  private growthSince: f64 = 0;
  private cpuSince: f64 = 0;
  private inFlightBefore: StaticArray<f64> = new StaticArray<f64>(GROWTH_TICKS);
  private ticks: i32 = 0;

  /**
   * Takes one tick. `queue` and `target` are T2 and T2* in ms, `inFlight` that of all workers, `cpu` the pressure from 0 to 1,
   * `NaN` = unknown.
   * @returns whether one of the three has been over for long enough
   */
  watch(estimator: Estimator, queue: f64, target: f64, inFlight: f64, calmCap: f64, cpu: f64, now: f64): bool {
    if (!(estimator.exact && queue > 2 * target)) this.queueSince = now;
    // A slower dependency lets requests in flight grow once, for as long as it has become slower.
    if (estimator.exact || inFlight < calmCap) this.growthSince = now;
    if (!(cpu >= CPU_OVER)) this.cpuSince = now;
    const grows = this.grows(inFlight);
    return (
      since(this.queueSince, now) >= max(QUEUE_MS, QUEUE_COMPLETIONS / max(0.001, estimator.proven)) ||
      (grows && since(this.growthSince, now) >= GROWTH_MS + min<f64>(estimator.t3, 2000)) ||
      since(this.cpuSince, now) >= CPU_MS
    );
  }

  /** Starts anew: the state has become calm. */
  forget(now: f64): void {
    this.queueSince = now;
    this.growthSince = now;
    this.cpuSince = now;
  }

  private grows(inFlight: f64): bool {
    const at = this.ticks++ % GROWTH_TICKS;
    const grown = inFlight - unchecked(this.inFlightBefore[at]);
    unchecked((this.inFlightBefore[at] = inFlight));
    const noise = GROWTH_DEVIATIONS * Math.sqrt(max<f64>(0, 2 * inFlight - grown));
    return grown > max(GROWTH_LEAST, noise);
  }
}

/** Time passed, 0 where the clock was set back. */
export function since(then: f64, now: f64): f64 {
  return max<f64>(0, now - then);
}
