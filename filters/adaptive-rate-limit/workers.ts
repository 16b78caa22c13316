/**
 * The workers of this process in shared data. Keys, one writer each:
 *
 *   v1/limit/<app>/worker#<i>   lease of slot i (sdk/worker-slot.ts)
 *   v1/limit/<app>/taken#<i>    what worker i has taken from the shared buckets: written while requests pass
 *   v1/limit/<app>/record#<i>   what worker i has counted: written on its tick
 *   v1/limit/<app>/state        what the leader, the living worker with the lowest slot, has decided
 *
 *   taken    u64 fingerprint | f64 own, per bucket | (u64 key, f64 own) × 64, per hotspot
 *   record   u64 fingerprint | f64 Unix time, ms | f64 sums (window.ts)
 *   state    u64 fingerprint | f64 Unix time, ms | f64 state (policy.ts)
 */
import {
  ascii,
  getShared,
  lenOf,
  NO_SLOT,
  OVERWRITE,
  ptrOf,
  SLOT_COUNT,
  Slice,
  setShared,
  slice,
  WorkerSlot,
  workerKey,
} from 'proxy-wasm-assemblyscript-sdk';
import { Buckets } from './buckets';
import { ENTRY, HotValues, VALUES } from './hot-values';
import { AdaptivePolicy } from './policy';
import { COUNTS, Whole, Window } from './window';

/** Period of the ticks on which workers tell each other what they counted. */
export const LIMIT_TICK_MS: u32 = 250;
/** A record is of a living worker for so long. */
const LIFE_MS: f64 = 3 * 1000;
const HOT_SIZE: i32 = VALUES * ENTRY;
const NANOSECONDS: f64 = 1_000_000;

@final
export class LimitWorkers {
  private readonly slot: WorkerSlot;
  private readonly takenKeys: StaticArray<u64> = new StaticArray<u64>(SLOT_COUNT);
  private readonly recordKeys: StaticArray<u64> = new StaticArray<u64>(SLOT_COUNT);
  private readonly stateKey: Slice;
  /** Per slot: its `taken` and its `record` as seen last; 0 = not yet. */
  private readonly seenTaken: StaticArray<usize> = new StaticArray<usize>(SLOT_COUNT);
  private readonly seenRecord: StaticArray<usize> = new StaticArray<usize>(SLOT_COUNT);
  private readonly taken: usize;
  private readonly takenSize: i32;
  private readonly record: usize;
  private readonly recordSize: i32;
  private readonly state: usize;
  private readonly stateSize: i32;
  private highest: i32 = -1;
  /** Own record at the last step. */
  private readonly before: usize;

  constructor(
    app: string,
    private readonly fingerprint: u64,
    private readonly buckets: Buckets,
    private readonly hot: StaticArray<HotValues>,
    /** What this worker has counted since it started. */
    private readonly sums: Window,
    private readonly policy: AdaptivePolicy,
  ) {
    const prefix = 'v1/limit/' + app;
    this.slot = new WorkerSlot(prefix + '/worker', 1_000_000_000);
    this.stateKey = ascii(prefix + '/state');
    for (let i = 0; i < SLOT_COUNT; i++) {
      this.takenKeys[i] = workerKey(prefix + '/taken', i);
      this.recordKeys[i] = workerKey(prefix + '/record', i);
    }
    this.takenSize = 8 + (buckets.size << 3) + hot.length * HOT_SIZE;
    this.taken = heap.alloc(this.takenSize);
    this.recordSize = 16 + (sums.cells.length << 3);
    this.record = heap.alloc(this.recordSize);
    this.before = heap.alloc(this.recordSize);
    memory.fill(this.before, 0, this.recordSize);
    this.stateSize = 16 + (policy.stateSize << 3);
    this.state = heap.alloc(this.stateSize);
  }

  /** At configure time. */
  prepare(): void {
    this.slot.prepare();
  }

  /** The first request of this worker: takes a slot, and looks at what the others have taken. */
  join(time: u64): void {
    this.slot.beat(time);
    for (let i = 0; i < SLOT_COUNT; i++) this.look(i);
    this.readState((time as f64) / NANOSECONDS);
  }

  /** Tells the others what this worker has taken, and charges what they say. */
  exchange(): void {
    const own = this.slot.index;
    if (own === NO_SLOT) return;
    const size = this.buckets.size << 3;
    store<u64>(this.taken, this.fingerprint);
    memory.copy(this.taken + 8, changetype<usize>(this.buckets.own), size);
    for (let h = 0; h < this.hot.length; h++) {
      const values = unchecked(this.hot[h]);
      memory.copy(this.taken + 8 + size + h * HOT_SIZE, changetype<usize>(values.entries), HOT_SIZE);
      values.published();
    }
    setShared(unchecked(this.takenKeys[own]), slice(this.taken, this.takenSize), OVERWRITE);
    this.buckets.published();
    // Slots are taken from the lowest free one up: one look past the highest known finds whoever is new.
    const end = min(max(this.highest, own) + 2, SLOT_COUNT);
    for (let i = 0; i < end; i++) this.look(i);
  }

  /** Charges what worker `i` has taken since the last look. */
  private look(i: i32): void {
    if (i === this.slot.index) return;
    const value = getShared(unchecked(this.takenKeys[i]));
    if (!this.isOurs(value, this.takenSize)) return;
    const at = ptrOf(value);
    this.highest = max(this.highest, i);
    const seen = unchecked(this.seenTaken[i]);
    if (seen !== 0) {
      for (let b = 0; b < this.buckets.size; b++) {
        const place = 8 + (b << 3);
        this.buckets.charge(b, since(load<f64>(at + place), load<f64>(seen + place)));
      }
      for (let h = 0; h < this.hot.length; h++) this.lookAtValues(h, at, seen);
    }
    unchecked((this.seenTaken[i] = this.keep(seen, value)));
  }

  private lookAtValues(h: i32, at: usize, seen: usize): void {
    const values = unchecked(this.hot[h]);
    const start = 8 + (this.buckets.size << 3) + h * HOT_SIZE;
    for (let v = 0; v < VALUES; v++) {
      const place = start + v * ENTRY;
      const key = load<u64>(at + place);
      const own = load<f64>(at + place, 8);
      const known = load<u64>(seen + place) === key ? load<f64>(seen + place, 8) : 0;
      if (key !== 0) values.charge(key, since(own, known));
    }
  }

  /**
   * A tick: renews the lease and tells what was counted. True for the leader, which has to `gather` and step once a
   * second; all others follow what it has decided, which is then in the policy.
   */
  tick(time: u64): bool {
    const now = (time as f64) / NANOSECONDS;
    const own = this.slot.beat(time);
    if (own === NO_SLOT) {
      this.readState(now);
      return false;
    }
    store<u64>(this.record, this.fingerprint);
    store<f64>(this.record, now, 8);
    memory.copy(this.record + 16, changetype<usize>(this.sums.cells), this.recordSize - 16);
    setShared(unchecked(this.recordKeys[own]), slice(this.record, this.recordSize), OVERWRITE);
    this.exchange();
    let leader = true;
    let alive = 1;
    for (let i = 0; i <= this.highest; i++) {
      if (i === own || !this.lives(getShared(unchecked(this.recordKeys[i])), now)) continue;
      alive++;
      if (i < own) leader = false;
    }
    this.buckets.workers = alive;
    for (let h = 0; h < this.hot.length; h++) this.hot[h].workers = alive;
    if (!leader) this.readState(now);
    return leader;
  }

  /** The leader: adds up what all workers did per second since the last call. */
  gather(into: Window, now: f64): void {
    into.clear();
    this.add(into, this.record, this.before);
    memory.copy(this.before, this.record, this.recordSize);
    for (let i = 0; i <= this.highest; i++) {
      if (i === this.slot.index) continue;
      const value = getShared(unchecked(this.recordKeys[i]));
      if (!this.lives(value, now)) continue;
      const seen = unchecked(this.seenRecord[i]);
      if (seen !== 0) this.add(into, ptrOf(value), seen);
      unchecked((this.seenRecord[i] = this.keep(seen, value)));
    }
  }

  /** The leader: publishes what it has decided. */
  publish(now: f64): void {
    store<u64>(this.state, this.fingerprint);
    store<f64>(this.state, now, 8);
    this.policy.save(this.state + 16);
    setShared(this.stateKey, slice(this.state, this.stateSize), OVERWRITE);
  }

  private readState(now: f64): void {
    const value = getShared(this.stateKey);
    if (this.isOurs(value, this.stateSize) && isFresh(load<f64>(ptrOf(value), 8), now)) {
      this.policy.restore(ptrOf(value) + 16);
    }
  }

  /** Adds the rates between two records of one worker. */
  private add(into: Window, at: usize, before: usize): void {
    const passed = (load<f64>(at, 8) - load<f64>(before, 8)) / 1000;
    const open = into.interfaces * COUNTS + Whole.Open;
    const cells = into.cells;
    for (let i = 0; i < cells.length; i++) {
      const place = 16 + (i << 3);
      const value = load<f64>(at + place);
      // What is open is no rate. A record from before the clock was set back, or from long ago, gives none.
      if (i === open) unchecked((cells[i] += value));
      else if (passed > 0 && passed < 10) unchecked((cells[i] += since(value, load<f64>(before + place)) / passed));
    }
  }

  private isOurs(value: Slice, size: i32): bool {
    return lenOf(value) === size && load<u64>(ptrOf(value)) === this.fingerprint;
  }

  private lives(value: Slice, now: f64): bool {
    return this.isOurs(value, this.recordSize) && isFresh(load<f64>(ptrOf(value), 8), now);
  }

  private keep(room: usize, value: Slice): usize {
    const at = room !== 0 ? room : heap.alloc(lenOf(value));
    memory.copy(at, ptrOf(value), lenOf(value));
    return at;
  }
}

/** The growth of a sum; a smaller one than before comes from a worker that has started anew. */
function since(sum: f64, before: f64): f64 {
  const growth = sum >= before ? sum - before : sum;
  return growth >= 0 ? growth : 0;
}

function isFresh(time: f64, now: f64): bool {
  const age = now - time;
  return age > -LIFE_MS && age <= LIFE_MS;
}
