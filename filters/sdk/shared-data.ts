/**
 * Shared data: one process-wide map for all VMs with the same `vm_id`, behind one mutex. There is no delete and no
 * expiry, so the number of keys must be fixed. A compare-and-set number of 0 overwrites whatever is there, and the first
 * creation of a key is not atomic: create keys at configure time, which Envoy runs on its main thread first.
 */
import { proxy_get_shared_data, proxy_set_shared_data } from './abi/imports';
import { OUT, OUT_CAS, OUT_SIZE, returned } from './abi/out';
import { Status } from './abi/types';
import { lenOf, NONE, present, ptrOf, Slice } from './slice';

/** Writes without looking at the current value. */
export const OVERWRITE: u32 = 0;

let cas: u32 = 0;

/** The value, in the arena, or `NONE`. Its compare-and-set number is in `lastCas()`. */
export function getShared(key: Slice): Slice {
  if (proxy_get_shared_data(ptrOf(key), lenOf(key), OUT, OUT_SIZE, OUT_CAS) !== Status.Ok) return NONE;
  cas = load<u32>(OUT_CAS);
  return returned();
}

/** The number that came with the last value that `getShared` found. */
export function lastCas(): u32 {
  return cas;
}

/** `Status.CasMismatch` when the value has changed since `expected` was read. */
export function setShared(key: Slice, value: Slice, expected: u32): Status {
  return proxy_set_shared_data(ptrOf(key), lenOf(key), ptrOf(value), lenOf(value), expected);
}

/** One step of an optimistic update; a subclass holds its own inputs and results. */
export abstract class SharedUpdate {
  /** The new value for `current` (`NONE` when the key does not exist), or `NONE` to leave it alone. */
  abstract next(current: Slice): Slice;
}

/**
 * Reads, computes and writes until no other writer came between, at most `attempts` times.
 * Answers `Ok` when written or left alone, `CasMismatch` when every attempt lost, else the host's status.
 */
export function updateShared(key: Slice, attempts: i32, update: SharedUpdate): Status {
  let status = Status.CasMismatch;
  for (let i = 0; i < attempts && status === Status.CasMismatch; i++) {
    const current = getShared(key);
    const value = update.next(current);
    if (!present(value)) return Status.Ok;
    status = setShared(key, value, present(current) ? cas : OVERWRITE);
  }
  return status;
}
