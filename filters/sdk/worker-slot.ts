/**
 * A worker's number. The ABI has none, so each VM leases one of a fixed number of slots in shared data and keeps it by
 * a heartbeat. Layout of a slot's value, little endian:
 *
 *   u64 owner (random, one per VM) | u64 heartbeat (ns)
 *
 * A slot whose heartbeat is older than `LEASE_TICKS` ticks is free: its worker has gone, or its VM has trapped.
 */
import { random_get } from './abi/imports';
import { OUT } from './abi/out';
import { Status } from './abi/types';
import { getShared, lastCas, setShared } from './shared-data';
import { ascii, lenOf, ptrOf, Slice, slice } from './slice';

export const SLOT_COUNT: i32 = 64;
export const LEASE_TICKS: u64 = 3;
export const NO_SLOT: i32 = -1;

const SIZE: i32 = 16;

export class WorkerSlot {
  private keys: StaticArray<u64> = new StaticArray<u64>(SLOT_COUNT);
  private value: usize = heap.alloc(SIZE);
  private owner: u64 = 0;
  index: i32 = NO_SLOT;

  /** `prefix` names the set of slots in shared data, e.g. `v1/worker`; `tick` is the heartbeat period in ns. */
  constructor(
    prefix: string,
    private tick: u64,
  ) {
    for (let i = 0; i < SLOT_COUNT; i++) this.keys[i] = ascii(prefix + '#' + i.toString());
  }

  /**
   * Creates the slots that do not exist yet. To be called at configure time: there the main thread is alone, so that
   * later every write can be a compare-and-set.
   */
  prepare(): void {
    memory.fill(this.value, 0, SIZE);
    for (let i = 0; i < SLOT_COUNT; i++) {
      if (lenOf(getShared(this.keys[i])) !== SIZE) setShared(this.keys[i], slice(this.value, SIZE), 0);
    }
  }

  /** Renews the lease at time `now`, or takes a free slot. Answers the slot, or `NO_SLOT` when all are taken. */
  beat(now: u64): i32 {
    if (this.index !== NO_SLOT && this.claim(this.index, now)) return this.index;
    this.index = NO_SLOT;
    for (let i = 0; i < SLOT_COUNT; i++) {
      if (this.claim(i, now)) {
        this.index = i;
        return i;
      }
    }
    return NO_SLOT;
  }

  /** Whether this is the first of the workers that are alive at `now`: of all who ask, at most one for long. */
  leads(now: u64): bool {
    if (this.index === NO_SLOT) return false;
    for (let i = 0; i < this.index; i++) {
      const slot = getShared(this.keys[i]);
      if (lenOf(slot) === SIZE && load<u64>(ptrOf(slot)) !== 0 && this.alive(load<u64>(ptrOf(slot), 8), now))
        return false;
    }
    return true;
  }

  /** A heartbeat from the future means that the clock has jumped back; such a lease must not last forever. */
  private alive(beat: u64, now: u64): bool {
    return beat <= now && now - beat <= LEASE_TICKS * this.tick;
  }

  private claim(i: i32, now: u64): bool {
    const current = getShared(this.keys[i]);
    if (lenOf(current) !== SIZE) return false;
    const holder = load<u64>(ptrOf(current));
    const beat = load<u64>(ptrOf(current), 8);
    if (holder !== this.identity() && holder !== 0 && this.alive(beat, now)) return false;
    store<u64>(this.value, this.identity());
    store<u64>(this.value, now, 8);
    return setShared(this.keys[i], slice(this.value, SIZE), lastCas()) === Status.Ok;
  }

  private identity(): u64 {
    // Not in the constructor: module-level objects are built in the start section, where host calls are forbidden.
    while (this.owner === 0) {
      random_get(OUT, 8);
      this.owner = load<u64>(OUT);
    }
    return this.owner;
  }
}

/** The key of worker `index` for `name`: `name#index`. Allocates: once, when the slot is known. */
export function workerKey(name: string, index: i32): Slice {
  return ascii(name + '#' + index.toString());
}
