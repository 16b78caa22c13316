/** The limits of one application in one worker: everything that outlives a request. */
import {
  ascii,
  getShared,
  lenOf,
  now,
  OVERWRITE,
  ptrOf,
  randomBytes,
  setShared,
  slice,
} from 'proxy-wasm-assemblyscript-sdk';
import { Buckets } from './buckets';
import { LimitConfig } from './config';
import { HotValues } from './hot-values';
import { LimitMetrics } from './metrics';
import { AdaptivePolicy } from './policy';
import { SILENT, shedLevel } from './resource';
import { Count, Whole, Window } from './window';
import { LIMIT_TICK_MS, LimitWorkers } from './workers';

const NANOSECONDS: f64 = 1_000_000;
const STEP_MS: f64 = 1000;
/** Ticks are not exact: a step may come so much early. */
const EARLY_MS: f64 = 50;
/** Admitted so many times what is done: a queue grows, which makes an inferred T2 credible. */
const GROWING: f64 = 1.05;

/** Bucket of the whole instance; behind it one of each interface's own limit, then one of each adaptive limit. */
export const INSTANCE_BUCKET: i32 = 0;

/** Key of the hash of hot values: 16 random bytes that the workers of a process share. */
const SALT = ascii('v1/limit/salt');
const salt: usize = heap.alloc(16);

@final
export class Limiter {
  readonly buckets: Buckets;
  readonly hot: StaticArray<HotValues>;
  /** Of the request at hand: where each rule follows its value, -1 = nowhere. */
  readonly places: StaticArray<i32>;
  readonly policy: AdaptivePolicy;
  /** What this worker has counted since it started. */
  readonly sums: Window;
  private readonly window: Window;
  private readonly workers: LimitWorkers;
  private stressDue: f64 = 0;
  private joined: bool = false;
  private ticked: f64 = 0;
  private stepped: f64 = 0;

  constructor(readonly config: LimitConfig) {
    const interfaces = config.interfaces.size;
    const buckets = new Buckets(1 + 2 * interfaces);
    const hot = new StaticArray<HotValues>(config.hotspots.length);
    for (let i = 0; i < hot.length; i++) hot[i] = new HotValues(config.hotspots[i].perSecond);
    const policy = new AdaptivePolicy(interfaces, config.after);
    const sums = new Window(interfaces);
    const workers = new LimitWorkers(config.app, config.fingerprint, buckets, hot, sums, policy);
    this.buckets = buckets;
    this.hot = hot;
    this.places = new StaticArray<i32>(hot.length);
    this.policy = policy;
    this.sums = sums;
    this.window = new Window(interfaces);
    this.workers = workers;
    workers.prepare();
    const time = milliseconds();
    buckets.limit(INSTANCE_BUCKET, config.perSecond, time);
    for (let i = 0; i < interfaces; i++) buckets.limit(1 + i, config.perInterface[i], time);
  }

  /** Bucket of the limit that the filter makes for an interface. */
  adaptiveBucket(i: i32): i32 {
    return 1 + this.config.interfaces.size + i;
  }

  /** Before anything else of a request. */
  begin(): void {
    if (this.joined) return;
    this.joined = true;
    this.workers.join(now());
    this.apply(milliseconds());
  }

  /** Whether one more stress-test request may pass. */
  admitsStress(): bool {
    this.stressDue = min(this.stressDue + this.policy.stressShare, 1);
    if (this.stressDue < 1) return false;
    this.stressDue = 0;
    return true;
  }

  exchange(): void {
    this.workers.exchange();
  }

  /** `cpu` from 0 to 1, `NaN` = unknown. During a change of configuration two root contexts tick: the second does nothing. */
  tick(cpu: f64, metrics: LimitMetrics): void {
    if (!this.joined) return;
    const time = milliseconds();
    const passed = time - this.ticked;
    if (passed >= 0 && passed < (LIMIT_TICK_MS as f64) - EARLY_MS) return;
    this.ticked = time;
    const leader = this.workers.tick(now());
    const since = time - this.stepped;
    if (since < 0 || since >= STEP_MS - EARLY_MS) {
      this.stepped = time;
      for (let i = 0; i < this.hot.length; i++) this.hot[i].age();
      if (leader && this.config.adaptive) this.step(cpu, time, metrics);
    }
    this.apply(time);
  }

  private step(cpu: f64, time: f64, metrics: LimitMetrics): void {
    const window = this.window;
    this.workers.gather(window, time);
    const pressure = max(cpu >= 0 ? cpu / this.config.cpu : SILENT, this.signal());
    this.policy.step(window, max(this.queue(), max(pressure, shedLevel(window))), pressure);
    this.workers.publish(time);
    metrics.level.set(min(this.policy.detection.level * 1000, 1e9) as u64);
    for (let i = 0; i < metrics.limits.length; i++) metrics.limits[i].set(max(this.policy.limitOf(i), 0) as u64);
  }

  /** T2 by its threshold. Nothing on its way means no queue; nothing coming back means that nothing is known. */
  private queue(): f64 {
    const window = this.window;
    const told = window.sum(Count.Queued);
    if (told > 0) return window.sum(Count.Queue) / told / this.config.queueMs;
    const done = window.sum(Count.Done);
    if (done === 0) return window.whole(Whole.Open) > 0 ? SILENT : 0;
    const growing = window.sum(Count.Admitted) > GROWING * done || this.policy.limits() > 0;
    return growing ? this.policy.baseline.inferredWait(window) / this.config.queueMs : 0;
  }

  private signal(): f64 {
    const count = this.window.whole(Whole.Signals);
    return count > 0 ? this.window.whole(Whole.Signal) / count / this.config.signalThreshold : SILENT;
  }

  private apply(time: f64): void {
    if (!this.config.adaptive) return;
    for (let i = 0; i < this.policy.interfaces; i++) {
      this.buckets.limit(this.adaptiveBucket(i), this.policy.limitOf(i), time, false);
    }
  }
}

const limiters: Limiter[] = [];

/**
 * The limiter of a configuration. One with the same limits goes on where it was: a change of anything else in mid-overload
 * starts nothing anew.
 */
export function limiterOf(config: LimitConfig): Limiter {
  for (let i = 0; i < limiters.length; i++) {
    if (limiters[i].config.app !== config.app) continue;
    if (limiters[i].config.fingerprint !== config.fingerprint) limiters[i] = new Limiter(config);
    return limiters[i];
  }
  const made = new Limiter(config);
  limiters.push(made);
  return made;
}

/** Reads the salt of this process, or makes it. At configure time, where the main thread is alone at first. */
export function prepareSalt(): void {
  let found = getShared(SALT);
  if (lenOf(found) !== 16) {
    randomBytes(salt, 16);
    setShared(SALT, slice(salt, 16), OVERWRITE);
    found = getShared(SALT);
  }
  if (lenOf(found) === 16) memory.copy(salt, ptrOf(found), 16);
}

export function saltLow(): u64 {
  return load<u64>(salt);
}

export function saltHigh(): u64 {
  return load<u64>(salt, 8);
}

/** Unix time of this callback. */
export function milliseconds(): f64 {
  return (now() as f64) / NANOSECONDS;
}
