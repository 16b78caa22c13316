import { proxy_get_current_time_nanoseconds, proxy_set_tick_period_milliseconds } from './abi/imports';
import { OUT } from './abi/out';
import { callbackSequence } from './callback';

let fetchedIn: u32 = 0;
let time: u64 = 0;

/** Wall-clock time in nanoseconds since 1970, asked once per callback: within a callback time stands still. */
export function now(): u64 {
  if (fetchedIn !== callbackSequence()) {
    fetchedIn = callbackSequence();
    proxy_get_current_time_nanoseconds(OUT);
    time = load<u64>(OUT);
  }
  return time;
}

/** The time right now, asked of the host each time: to measure within a callback. */
export function timeNow(): u64 {
  proxy_get_current_time_nanoseconds(OUT);
  return load<u64>(OUT);
}

/** Milliseconds between two calls of the current root context's `onTick`; 0 stops them. */
export function setTickPeriod(milliseconds: u32): void {
  proxy_set_tick_period_milliseconds(milliseconds);
}
