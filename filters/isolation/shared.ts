/**
 * What all workers of a proxy know together, in shared data, so that it outlives configurations and traps and ends with the
 * process:
 *
 *   v1/isolation/offline    one byte, 1 while the instance is offline; whichever worker was told writes it
 *   v1/isolation/start      u64, when this Envoy was first configured, in ns since 1970; written once
 *   v1/isolation/ordered    i64, until when the healing centre wants the instance isolated, in ms since 1970, 0 = not at all; by
 *                           the agent, whenever the centre has answered, or has not
 */
import { ascii, getShared, lenOf, now, OVERWRITE, ptrOf, setShared, slice } from 'proxy-wasm-assemblyscript-sdk';

const OFFLINE = ascii('v1/isolation/offline');
const START = ascii('v1/isolation/start');
const ORDERED = ascii('v1/isolation/ordered');
const value: usize = memory.data(8, 8);

export function isOffline(): bool {
  const found = getShared(OFFLINE);
  return lenOf(found) === 1 && load<u8>(ptrOf(found)) === 1;
}

export function setOffline(offline: bool): void {
  store<u8>(value, offline ? 1 : 0);
  setShared(OFFLINE, slice(value, 1), OVERWRITE);
}

/** When this Envoy started, in ms; to be called while a configuration is taken, which the main thread does first. */
export function startedAt(): f64 {
  const found = getShared(START);
  let time = now();
  if (lenOf(found) === 8) time = load<u64>(ptrOf(found));
  else {
    store<u64>(value, time);
    setShared(START, slice(value, 8), OVERWRITE);
  }
  return (time / 1_000_000) as f64;
}

/** Negative while the centre has not been asked yet. */
export function orderedUntil(): f64 {
  const found = getShared(ORDERED);
  return lenOf(found) === 8 ? max<f64>(0, load<i64>(ptrOf(found)) as f64) : -1;
}

export function setOrdered(until: i64): void {
  store<i64>(value, until);
  setShared(ORDERED, slice(value, 8), OVERWRITE);
}
