/**
 * The workers of this process in shared data. Keys, one writer each:
 *
 *   v1/shed/<app>/worker#<i>   lease of slot i (sdk/worker-slot.ts)
 *   v1/shed/<app>/record#<i>   what worker i has measured (merge.ts), written on each of its ticks
 *   v1/shed/<app>/live#<i>     u32 in flight, u32 admitted so far, f64 Unix time in ms: written near a cap
 */
import {
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
import { LIVE_SIZE, RECORD_LIFE_MS } from './merge';
import { Peers, Shedder } from './policy';

/** What a worker that is gone has proven is still worth something for so long. */
const LEGACY_MS: f64 = 10_000;
const LEGACY_SLOTS: i32 = 8;
const NANOSECONDS: f64 = 1_000_000;

@final
export class SharedPeers extends Peers {
  private readonly slot: WorkerSlot;
  private readonly records: StaticArray<u64> = new StaticArray<u64>(SLOT_COUNT);
  private readonly cells: StaticArray<u64> = new StaticArray<u64>(SLOT_COUNT);
  private readonly alive: StaticArray<bool> = new StaticArray<bool>(SLOT_COUNT);
  private readonly cell: usize = heap.alloc(LIVE_SIZE);
  private highest: i32 = 0;
  private fresh: bool = true;

  constructor(app: string, tickMs: u32) {
    super();
    const prefix = 'v1/shed/' + app;
    this.slot = new WorkerSlot(prefix + '/worker', (tickMs as u64) * 1_000_000);
    for (let i = 0; i < SLOT_COUNT; i++) {
      this.records[i] = workerKey(prefix + '/record', i);
      this.cells[i] = workerKey(prefix + '/live', i);
    }
  }

  /** At configure time. */
  prepare(): void {
    this.slot.prepare();
  }

  /** One tick of `shedder`. `cpu` from 0 to 1, `NaN` = unknown. */
  tick(shedder: Shedder, cpu: f64, time: u64): void {
    const now = (time as f64) / NANOSECONDS;
    const own = this.slot.beat(time);
    shedder.begin(now);
    if (this.fresh) this.inherit(shedder, now);
    // Slots are taken from the lowest free one up: one look past the highest known finds whoever is new.
    const end = min(max(this.highest, own) + 2, SLOT_COUNT);
    for (let i = 0; i < end; i++) {
      if (i === own) continue;
      const lives = shedder.merge(getShared(unchecked(this.records[i])), i, now);
      unchecked((this.alive[i] = lives));
      if (lives) this.highest = max(this.highest, i);
    }
    const record = shedder.finish(own === NO_SLOT ? SLOT_COUNT : own, cpu, now);
    if (own !== NO_SLOT) setShared(unchecked(this.records[own]), record, OVERWRITE);
  }

  exchange(inFlight: i32, admitted: u32, now: f64): void {
    const own = this.slot.index;
    const cell = this.cell;
    store<u32>(cell, inFlight);
    store<u32>(cell, admitted, 4);
    store<f64>(cell, now, 8);
    if (own !== NO_SLOT) setShared(unchecked(this.cells[own]), slice(cell, LIVE_SIZE), OVERWRITE);
    let total: f64 = 0;
    let all: f64 = 0;
    for (let i = 0; i <= this.highest; i++) {
      if (i === own || !unchecked(this.alive[i])) continue;
      const value = getShared(unchecked(this.cells[i]));
      if (!isFresh(value, now)) continue;
      total += load<u32>(ptrOf(value)) as f64;
      all += load<u32>(ptrOf(value), 4) as f64;
    }
    this.inFlight = total;
    this.admitted = all;
  }

  /** After a VM was replaced, its worker goes on with what is known of the instance. */
  private inherit(shedder: Shedder, now: f64): void {
    this.fresh = false;
    for (let i = 0; i < LEGACY_SLOTS; i++) shedder.inherit(getShared(unchecked(this.records[i])), now, LEGACY_MS);
  }
}

function isFresh(value: Slice, now: f64): bool {
  if (lenOf(value) !== LIVE_SIZE) return false;
  const age = now - load<f64>(ptrOf(value), 8);
  return age > -RECORD_LIFE_MS && age <= RECORD_LIFE_MS;
}
