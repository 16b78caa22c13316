/**
 * What workers tell each other on every tick, and its sum. One record for each worker, little endian:
 *
 *   0    u32 layout      4 u32 flags (`Flag`)
 *   8    f64 Unix time in ms
 *   16   f64 × 8         offered, dropped by callers, completed, Σ T3, Σ T2, T2 samples, refused, Σ (T3 − T2)²: each per ms
 *   80   f64 in flight, ghosts included
 *   88   f64 proven throughput per ms
 *   96   f64 base time in ms (S), 0 = unknown
 *   104  f64 × 10        offered requests by class, of which only proportions count
 *   184
 *
 * Beside it each worker keeps a live cell, written between ticks: u32 in flight, u32 admitted so far, f64 Unix time in ms.
 */
import { lenOf, ptrOf, Slice, slice } from 'proxy-wasm-assemblyscript-sdk/slice';
import { Meter, Sum } from './meter';
import { CLASSES } from './priority';

export const RECORD_SIZE: i32 = 104 + CLASSES * 8;
export const LIVE_SIZE: i32 = 16;
/** A worker that has not written for so long is gone; its requests have ended with it. */
export const RECORD_LIFE_MS: f64 = 350;

const LAYOUT: u32 = 0x31444853;
const RATES: i32 = 8;

export enum Flag {
  Hot = 1,
  /** The leader grants twice the cap for a moment, to tell latency from queueing. */
  Probe = 2,
}

/** Age in ms; `NaN` for a record that is not ours, older than `life`, or of a time to come. */
export function recordAge(record: Slice, now: f64, life: f64): f64 {
  if (lenOf(record) !== RECORD_SIZE || load<u32>(ptrOf(record)) !== LAYOUT) return NaN;
  const age = now - load<f64>(ptrOf(record), 8);
  return age > -RECORD_LIFE_MS && age <= life ? age : NaN;
}

/** Proven throughput per ms of a record whose age is known. */
export function provenOf(record: Slice): f64 {
  return finite(load<f64>(ptrOf(record), 88));
}

/** S in ms of a record whose age is known; 0 = unknown. */
export function baseOf(record: Slice): f64 {
  return finite(load<f64>(ptrOf(record), 96));
}

/** Sums over all live workers. Rates are per millisecond. */
@final
export class Merge {
  readonly rates: StaticArray<f64> = new StaticArray<f64>(RATES);
  readonly classes: StaticArray<f64> = new StaticArray<f64>(CLASSES);
  inFlight: f64 = 0;
  workers: i32 = 0;
  flags: u32 = 0;
  /** Of the worker with the lowest slot among the others; -1 = none. */
  leader: i32 = -1;
  leaderBase: f64 = 0;
  /** Highest that another worker has proven. */
  proven: f64 = 0;
  private own: usize = heap.alloc(RECORD_SIZE);

  begin(): void {
    this.rates.fill(0);
    this.classes.fill(0);
    this.inFlight = 0;
    this.workers = 0;
    this.flags = 0;
    this.leader = -1;
    this.leaderBase = 0;
    this.proven = 0;
  }

  /** Adds another worker's record; one that is malformed or old is passed over. False then. */
  add(record: Slice, worker: i32, now: f64): bool {
    if (isNaN(recordAge(record, now, RECORD_LIFE_MS))) return false;
    const at = ptrOf(record);
    this.sum(at);
    this.flags |= load<u32>(at, 4);
    this.proven = max(this.proven, provenOf(record));
    if (this.leader < 0 || worker < this.leader) {
      this.leader = worker;
      this.leaderBase = baseOf(record);
    }
    return true;
  }

  /** Adds what this worker itself has measured. */
  addOwn(meter: Meter, inFlight: i32): void {
    const at = this.own;
    for (let i = 0; i < RATES; i++) store<f64>(at + i * 8, meter.rate(Sum.Offered + i), 16);
    store<f64>(at, inFlight as f64, 80);
    for (let i = 0; i < CLASSES; i++) store<f64>(at + i * 8, unchecked(meter.classes[i]), 104);
    this.sum(at);
  }

  /** This worker's record, after `addOwn`. Valid until the next tick. */
  record(now: f64, flags: u32, proven: f64, base: f64): Slice {
    const at = this.own;
    store<u32>(at, LAYOUT);
    store<u32>(at, flags, 4);
    store<f64>(at, now, 8);
    store<f64>(at, proven, 88);
    store<f64>(at, base, 96);
    return slice(at, RECORD_SIZE);
  }

  rate(sum: Sum): f64 {
    return unchecked(this.rates[sum - Sum.Offered]);
  }

  private sum(at: usize): void {
    for (let i = 0; i < RATES; i++) unchecked((this.rates[i] = this.rates[i] + finite(load<f64>(at + i * 8, 16))));
    for (let i = 0; i < CLASSES; i++) {
      unchecked((this.classes[i] = this.classes[i] + finite(load<f64>(at + i * 8, 104))));
    }
    this.inFlight += finite(load<f64>(at, 80));
    this.workers++;
  }
}

/** Shared data is as trustworthy as its writers: what is no number of this world counts as nothing. */
function finite(value: f64): f64 {
  return value >= 0 && value < 1e12 ? value : 0;
}
