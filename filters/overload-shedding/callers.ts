/**
 * What a caller does with the thresholds that its callees send along with refusals: it keeps them for a second, by host, and
 * drops what *every* host that it has heard of would refuse. Pure.
 */
import { ALL, COHORTS } from './priority';

/** Hosts of one service that are remembered. */
export const HOSTS: i32 = 32;
/** How long a threshold is believed. */
export const BELIEVED_MS: f64 = 1000;
/** Of what would be dropped, one in so many goes out to learn the present threshold. */
const SAMPLE: u32 = 50;
/** Requests that may be dropped for each one sent: 90 %. */
const DROPS_PER_SENT: i32 = 9;
const MOST_CREDIT: i32 = 900;
const PASSES: i32 = i32.MAX_VALUE;
/** Keys by which a threshold rises when a request over it is served: idle capacity serves some of those, not all. */
const RAISE: i32 = COHORTS / 8;

export enum Fate {
  Send,
  /** Send, and say how many were dropped in its place. */
  Sample,
  Drop,
}

/** One callee. */
@final
export class Callee {
  /** Some threshold may be in force; while false nothing need be asked. */
  active: bool = false;
  /** Dropped of each class since the last sample of it. */
  readonly dropped: StaticArray<u32> = new StaticArray<u32>(10);
  private hosts: StaticArray<u64> = new StaticArray<u64>(HOSTS);
  private thresholds: StaticArray<i32> = new StaticArray<i32>(HOSTS);
  private heard: StaticArray<f64> = new StaticArray<f64>(HOSTS);
  private count: i32 = 0;
  private candidates: u32 = 0;
  private credit: i32 = 0;

  /** A host, by the hash of its address, has refused a request and said its threshold. */
  refused(host: u64, threshold: i32, now: f64): void {
    this.active = true;
    // Class 0 is never refused, whatever a host says.
    this.note(host, max(threshold, COHORTS), now);
  }

  /** A host has answered a request of this key. To be called while `active`. */
  answered(host: u64, key: i32, now: f64): void {
    const at = this.find(host);
    if (at < 0) {
      this.note(host, PASSES, now);
      return;
    }
    if (!believed(unchecked(this.heard[at]), now)) {
      unchecked((this.thresholds[at] = PASSES));
      unchecked((this.heard[at] = now));
    } else if (key >= unchecked(this.thresholds[at]) && unchecked(this.thresholds[at]) < ALL) {
      unchecked((this.thresholds[at] += RAISE));
    }
  }

  /** What becomes of a request. To be called while `active`. */
  judge(class_: i32, cohort: i32, now: f64): Fate {
    const key = class_ * COHORTS + cohort;
    if (class_ === 0 || key < this.threshold(now)) {
      this.credit = min(this.credit + DROPS_PER_SENT, MOST_CREDIT);
      return Fate.Send;
    }
    if (this.candidates++ % SAMPLE === SAMPLE - 1 || this.credit <= 0) {
      this.credit = min(this.credit + DROPS_PER_SENT, MOST_CREDIT);
      return Fate.Sample;
    }
    this.credit--;
    unchecked((this.dropped[class_] = min<u32>(this.dropped[class_] + 1, 1000000)));
    return Fate.Drop;
  }

  /** How many of a class were dropped since it was last asked. */
  takeDropped(class_: i32): u32 {
    const count = unchecked(this.dropped[class_]);
    unchecked((this.dropped[class_] = 0));
    return count;
  }

  /** The highest that any host of the last second lets through: what is over it, all would refuse. */
  private threshold(now: f64): i32 {
    let highest = -1;
    for (let i = 0; i < this.count; i++) {
      if (believed(unchecked(this.heard[i]), now)) highest = max(highest, unchecked(this.thresholds[i]));
    }
    if (highest >= 0) return highest;
    this.active = false;
    this.count = 0;
    return PASSES;
  }

  private note(host: u64, threshold: i32, now: f64): void {
    let at = this.find(host);
    if (at < 0) at = this.count < HOSTS ? this.count++ : this.worst(now);
    unchecked((this.hosts[at] = host));
    unchecked((this.thresholds[at] = threshold));
    unchecked((this.heard[at] = now));
  }

  /** To be forgotten first: one that is silent, else the one that sheds most, since forgetting it can only send more. */
  private worst(now: f64): i32 {
    let found = 0;
    for (let i = 0; i < HOSTS; i++) {
      if (!believed(unchecked(this.heard[i]), now)) return i;
      if (unchecked(this.thresholds[i]) < unchecked(this.thresholds[found])) found = i;
    }
    return found;
  }

  private find(host: u64): i32 {
    for (let i = 0; i < this.count; i++) {
      if (unchecked(this.hosts[i]) === host) return i;
    }
    return -1;
  }
}

function believed(heard: f64, now: f64): bool {
  const age = now - heard;
  return age >= 0 && age <= BELIEVED_MS;
}
