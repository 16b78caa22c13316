/**
 * Overload shedding of one instance: which requests reach the application. Pure: time comes as Unix milliseconds, other workers as
 * `Peers`. README.md has the law in words.
 *
 * *Calm*: nothing of a request is looked at. *Hot*: the request's key is compared with a threshold, and the number in
 * flight with a cap for its class. The step of an overload is met by the caps, per request; ticks move only thresholds.
 */
import { Slice } from 'proxy-wasm-assemblyscript-sdk/slice';
import { Bucket } from './bucket';
import { Estimator } from './estimator';
import { InFlight } from './in-flight';
import { baseOf, Flag, Merge, provenOf, recordAge } from './merge';
import { Meter, Sum } from './meter';
import { ALL, COHORTS, CONTROL, CORE, DEFAULT, patience, STRESS } from './priority';
import { Probe } from './probe';
import { Reasons, since } from './reasons';
import { thresholdFor } from './threshold';

/** In flight that is allowed before anything is proven, and in the first second of life. */
const CALM_FLOOR: f64 = 16;
const NEWBORN_FLOOR: f64 = 64;
const NEWBORN_MS: f64 = 1000;
const CORE_FLOOR: f64 = 5;
const HOT_FLOOR: f64 = 3;
const BATCH_FLOOR: f64 = 2;
/** T2* is at least the time of so many completions: less queue than that leaves slots idle. */
const TARGET_COMPLETIONS: f64 = 2;
const MOST_TARGET: f64 = 3;
/** More room where service times spread: a slot that is held long says nothing of the next. */
const SPREAD_ROOM: f64 = 0.25;
/** Another worker's count is asked for at most this often. */
const LIVE_MS: f64 = 1;
/** Hot when nothing has completed for so long although there is work. */
const STALL_MS: f64 = 400;
/** Calm again after so long without a refusal. */
const CALM_MS: f64 = 500;
/** T2 above the target that brings admission to nothing, were there no floor under it. */
const SLOPE_MS: f64 = 300;
const LEAST_SHARE: f64 = 0.3;
const MOST_SHARE: f64 = 1.1;
const GROWTH_PER_MS: f64 = 0.0003;
const MOST_PROVEN: f64 = 3;
/** What callers are to send, relative to what may come in. */
const CALLERS_SHARE: f64 = 1.5;
/** Of P·S, what a probe of the base time lets in: by class groups. */
const PROBE_CORE: f64 = 0.8;
const PROBE_DEFAULT: f64 = 0.6;

/** The other workers of this process, as the host lets them be reached. */
export abstract class Peers {
  /** In flight on all others, and admitted by them so far, when they were last asked. */
  inFlight: f64 = 0;
  admitted: f64 = 0;
  /** True while there are any. */
  any: bool = false;

  /** Tells the others, and asks them: fills the fields above. */
  abstract exchange(inFlight: i32, admitted: u32, now: f64): void;
}

/** How a request ended, for `Shedder.end`. */
export enum End {
  /** The application answered. */
  Completed,
  /** The caller, or a timeout, gave up on it. */
  Cancelled,
  /** It never reached the application. */
  Unsent,
}

@final
export class Shedder {
  hot: bool = false;
  /** First key that is over; `ALL` = none. */
  threshold: i32 = ALL;
  /** The same for callers, who are to drop less: what they hold back cannot fill capacity that turns out to be idle. */
  told: i32 = ALL;
  readonly estimator: Estimator = new Estimator();
  readonly flight: InFlight = new InFlight();
  readonly meter: Meter = new Meter();
  private sums: Merge = new Merge();

  private born: f64 = 0;
  private ticked: f64 = 0;
  /** Since when there has been work in flight without a completion. */
  private waitingSince: f64 = 0;
  private admitted: u32 = 0;
  private readonly bucket: Bucket = new Bucket();
  private askedAt: f64 = 0;
  private peersAdmitted: f64 = 0;

  /** Caps by class group, and the two at which capacity counts as idle. Set on the tick. */
  private calmCap: f64 = NEWBORN_FLOOR;
  private coreCap: f64 = NEWBORN_FLOOR;
  private defaultCap: f64 = NEWBORN_FLOOR;
  private batchCap: f64 = NEWBORN_FLOOR;
  private idleCap: f64 = 0;
  private idleOwnCap: f64 = 0;

  /** C and A of the law, per ms. */
  private capacity: f64 = 0;
  private admission: f64 = 0;
  private queue: f64 = 0;
  /** T2* in ms: the configured one, more for a slow instance. */
  private aim: f64 = 15;
  private ownReason: f64 = -1e9;
  private refusedAt: f64 = -1e9;
  private readonly reasons: Reasons = new Reasons();
  private readonly measure: Probe = new Probe();

  constructor(
    /** T2 in ms that is aimed at. */
    public target: f64,
    private readonly peers: Peers,
  ) {}

  /** A request in the calm state. True: admitted. False: the state is hot from now on, and the request must be judged. */
  admitCalm(now: f64): bool {
    this.meter.add(Sum.Offered, 1);
    this.bucket.refill(this.estimator.proven, now);
    if (this.bucket.tokens < 1 && this.inFlight(now, this.calmCap) >= this.calmCap) {
      this.heat(now);
      return false;
    }
    this.admit();
    return true;
  }

  /** Counts a request in the hot state; `dropped` others of its cohort were held back by its caller. */
  offer(class_: i32, dropped: f64): void {
    this.meter.add(Sum.Offered, 1);
    this.count(class_, dropped);
  }

  /** The same for the request that made the state hot: it has been counted as offered. */
  count(class_: i32, dropped: f64): void {
    if (dropped > 0) this.meter.add(Sum.Dropped, dropped);
    this.meter.offer(class_, 1 + dropped);
  }

  /** True when the cohort decides about this class; otherwise `judge` takes any. */
  needsCohort(class_: i32): bool {
    return this.threshold > class_ * COHORTS && this.threshold < (class_ + 1) * COHORTS;
  }

  /** True: admitted. */
  judge(class_: i32, cohort: i32, now: f64): bool {
    if (!this.admits(class_, cohort, now)) {
      this.refusedAt = now;
      this.ownReason = now;
      this.meter.add(Sum.Refused, 1);
      return false;
    }
    this.bucket.refill(this.estimator.proven, now);
    this.admit();
    return true;
  }

  /** What `judge` would say now, without any effect. */
  admits(class_: i32, cohort: i32, now: f64): bool {
    if (class_ === CONTROL) return true;
    const key = class_ * COHORTS + cohort;
    const cap = this.capOf(class_, key);
    return this.inFlight(now, cap) < cap || (cap > 0 && key < this.threshold && this.flight.onlyGhosts());
  }

  /** True when a request of this key is over the threshold, so that its caller may have dropped others like it. */
  isOver(class_: i32, cohort: i32): bool {
    return class_ * COHORTS + cohort >= this.threshold;
  }

  /** Number of the request admitted last, for `end`. */
  lastNumber: u32 = 0;

  /**
   * An admitted request has ended after `t3` ms; nothing is learned from a stream. `t2` in ms, `NaN` where the application does not say. `t3` below 0, by a
   * clock that was set back, counts as 0.
   */
  end(number: u32, how: End, t3: f64, t2: f64, now: f64): void {
    if (how === End.Completed) {
      if (!this.flight.complete(number)) return;
      const meter = this.meter;
      this.measure.sample(now - t3, t3);
      meter.add(Sum.Completed, 1);
      meter.add(Sum.T3, max<f64>(0, t3));
      const own = isNaN(t2) ? max<f64>(0, t3) : max<f64>(0, t3 - t2);
      meter.add(Sum.Squares, own * own);
      if (!isNaN(t2)) {
        meter.add(Sum.T2, min(t2, max<f64>(0, t3)));
        meter.add(Sum.T2Samples, 1);
      }
    } else if (how === End.Cancelled) {
      this.flight.cancel(number, now);
    } else {
      this.flight.leave(number);
    }
  }

  /** Starts a tick: then `merge` for each other worker, then `finish`. */
  begin(now: f64): void {
    if (this.born === 0) {
      this.born = now;
      this.waitingSince = now;
      this.ticked = now;
    }
    this.meter.roll(now);
    this.flight.age(now);
    this.sums.begin();
  }

  /** Adds another worker's record. False when that worker is gone. */
  merge(record: Slice, worker: i32, now: f64): bool {
    return this.sums.add(record, worker, now);
  }

  /** Starts from what a record says that is at most `life` ms old, also one of a worker that is gone. */
  inherit(record: Slice, now: f64, life: f64): void {
    if (isNaN(recordAge(record, now, life))) return;
    this.estimator.inherit(provenOf(record), baseOf(record));
  }

  /**
   * Ends a tick. `worker` is this worker's slot; `cpu` the pressure from 0 to 1, `NaN` = unknown.
   * @returns this worker's record for the others
   */
  finish(worker: i32, cpu: f64, now: f64): Slice {
    const sums = this.sums;
    const inFlight = this.flight.count(now);
    this.peers.any = sums.workers > 0;
    this.peers.inFlight = sums.inFlight;
    sums.addOwn(this.meter, inFlight);
    const elapsed = max<f64>(0, min<f64>(now - this.ticked, 1000));
    this.ticked = now;
    const estimator = this.estimator;
    estimator.inherit(sums.proven, sums.leaderBase);
    estimator.update(sums, this.hot, now, elapsed);
    const leads = sums.leader < 0 || worker < sums.leader;
    if (!estimator.exact && !leads && sums.leaderBase > 0) estimator.base = sums.leaderBase;
    const least = TARGET_COMPLETIONS / max(0.001, estimator.proven);
    this.aim = max(this.target, min(least, MOST_TARGET * this.target));
    this.watchQueue(now);
    this.watchReasons(cpu, now);
    if (this.hot) this.steer(elapsed, now);
    if (leads) this.probe(now);
    const measure = this.measure;
    this.setCaps(now, (leads ? measure.running : (sums.flags & Flag.Probe) !== 0) && !estimator.exact);
    let flags: u32 = 0;
    if (this.hot && now - this.ownReason < CALM_MS) flags |= Flag.Hot;
    if (leads && measure.running) flags |= Flag.Probe;
    if (this.peers.any) this.peers.exchange(inFlight, this.admitted, now);
    return sums.record(now, flags, estimator.proven, estimator.base);
  }

  /** T2 in ms as it is believed now. */
  queueing(): f64 {
    return this.queue;
  }

  /** What the instance can do, in requests per second. */
  capacityPerSecond(): f64 {
    return (this.hot ? this.capacity : this.estimator.proven) * 1000;
  }

  /** Of all workers, as of the last tick. */
  inFlightNow(): f64 {
    return this.sums.inFlight;
  }

  private admit(): void {
    this.lastNumber = this.flight.admit();
    this.admitted++;
    this.bucket.tokens -= 1;
  }

  private capOf(class_: i32, key: i32): f64 {
    if (key >= this.threshold) {
      return key < (this.threshold / COHORTS + 1) * COHORTS ? this.idleOwnCap : this.idleCap;
    }
    if (class_ < DEFAULT) return this.coreCap;
    return patience(class_) < 1 ? this.batchCap : this.defaultCap;
  }

  /** In flight on all workers; near the cap the others are asked anew. */
  private inFlight(now: f64, cap: f64): f64 {
    const own = this.flight.count(now) as f64;
    const peers = this.peers;
    if (!peers.any) return own;
    const asked = now - this.askedAt;
    if (2 * (own + peers.inFlight) >= cap && (asked >= LIVE_MS || asked < 0)) {
      this.askedAt = now;
      peers.exchange(own as i32, this.admitted, now);
      this.spendOthers();
    }
    return own + peers.inFlight;
  }

  /** What the others have admitted comes out of the same bucket. */
  private spendOthers(): void {
    const more = this.peers.admitted - this.peersAdmitted;
    this.peersAdmitted = this.peers.admitted;
    if (more > 0) this.bucket.tokens -= more;
  }

  private heat(now: f64): void {
    this.ownReason = now;
    this.enterHot(now);
  }

  private enterHot(now: f64): void {
    if (this.hot) return;
    this.hot = true;
    this.refusedAt = now;
    this.capacity = this.estimator.proven;
    this.admission = this.capacity * MOST_SHARE;
    this.threshold = ALL;
    this.told = ALL;
  }

  /** T2: reported, inferred, or the age of the oldest request where nothing completes any more. */
  private watchQueue(now: f64): void {
    const estimator = this.estimator;
    this.queue = estimator.exact ? estimator.t2 : max<f64>(0, estimator.t3 - estimator.base);
    if (this.sums.inFlight <= 0 || estimator.completed > 0) {
      this.waitingSince = now;
      return;
    }
    const waited = now - this.waitingSince;
    if (waited < 0) this.waitingSince = now;
    else this.queue = max(this.queue, waited);
  }

  private watchReasons(cpu: f64, now: f64): void {
    const stalled = now - this.waitingSince >= max(STALL_MS, 2 * this.estimator.base);
    const reason =
      this.reasons.watch(this.estimator, this.queue, this.aim, this.sums.inFlight, this.calmCap, cpu, now) || stalled;
    if (reason) this.ownReason = now;
    if (reason || (this.sums.flags & Flag.Hot) !== 0) this.enterHot(now);
  }

  private steer(elapsed: f64, now: f64): void {
    const sums = this.sums;
    const target = this.aim;
    const estimator = this.estimator;
    const queue = this.queue;
    const completed = estimator.completed;
    const step = elapsed / 100;
    if (queue > target / 2) {
      const rate = completed > this.capacity ? 0.6 : 0.15;
      this.capacity += (completed - this.capacity) * min<f64>(1, rate * step);
    } else this.capacity = max(this.capacity, completed);
    const share = min(MOST_SHARE, max(LEAST_SHARE, 1 - (queue - target) / SLOPE_MS));
    let admission = this.capacity * share;
    if (queue < target / 2) admission = max(admission, this.admission * (1 + GROWTH_PER_MS * elapsed));
    this.admission = min(admission, MOST_PROVEN * estimator.proven);
    const offered = sums.rate(Sum.Offered) + sums.rate(Sum.Dropped);
    this.threshold = thresholdFor(this.admission, offered, sums.classes);
    this.told = thresholdFor(CALLERS_SHARE * this.admission, offered, sums.classes);
    if (sums.rate(Sum.Refused) > 0) this.refusedAt = now;
    const quiet = since(this.refusedAt, now) >= CALM_MS && queue < 1.5 * target;
    if (quiet && (this.admission > 1.2 * offered || offered < 0.95 * this.capacity)) {
      this.hot = false;
      this.threshold = ALL;
      this.told = ALL;
      this.reasons.forget(now);
    }
  }

  /** See probe.ts. */
  private probe(now: f64): void {
    const estimator = this.estimator;
    const measure = this.measure;
    if (!this.hot || estimator.exact) {
      measure.rest(now);
      return;
    }
    const low =
      this.sums.rate(Sum.Refused) > 0 && measure.isLow(estimator.completed, estimator.proven, estimator.spread);
    const drained = this.sums.inFlight <= max<f64>(1, PROBE_CORE * estimator.proven * estimator.base) + 1;
    const found = measure.tick(low, drained, estimator.base, now);
    if (found > 0) estimator.setBase(found);
  }

  private setCaps(now: f64, probing: bool): void {
    const proven = this.estimator.proven;
    const base = this.estimator.base;
    if (probing) {
      this.coreCap = max<f64>(1, PROBE_CORE * proven * base);
      this.defaultCap = max<f64>(1, PROBE_DEFAULT * proven * base);
      this.batchCap = this.defaultCap;
      this.idleCap = 0;
      this.idleOwnCap = 0;
      return;
    }
    const newborn = now - this.born < NEWBORN_MS;
    this.calmCap = max(newborn ? NEWBORN_FLOOR : CALM_FLOOR, this.cap(DEFAULT));
    this.coreCap = max(CORE_FLOOR, this.cap(CORE));
    this.defaultCap = max(HOT_FLOOR, this.cap(DEFAULT));
    this.batchCap = max(BATCH_FLOOR, this.cap(STRESS));
    this.idleCap = proven * base;
    this.idleOwnCap = proven * (base + this.aim / 2);
    this.bucket.aim(proven);
  }

  private cap(class_: i32): f64 {
    const estimator = this.estimator;
    const room = patience(class_) * this.aim * (1 + SPREAD_ROOM * estimator.spread);
    return estimator.proven * (estimator.base + room);
  }
}
