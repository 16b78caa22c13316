/**
 * Priorities. A key orders all requests: class first, then a cohort drawn from the trace (or the user), so that one trace
 * is in or out at every hop.
 *
 *   key = class · 128 + cohort        0 … 1279, small keys are served first
 */
import { byteAt, lenOf, mix64, Slice } from 'proxy-wasm-assemblyscript-sdk/slice';

export const CLASSES: i32 = 10;
export const COHORTS: i32 = 128;
/** A threshold that no key reaches: everything passes. */
export const ALL: i32 = CLASSES * COHORTS;

/** Health checks and control: never refused. */
export const CONTROL: i32 = 0;
export const CORE: i32 = 1;
export const DEFAULT: i32 = 5;
export const BATCH: i32 = 8;
export const STRESS: i32 = 9;

const HOUR_MS: f64 = 3_600_000;

/** The class that a header value names: one digit. -1 for anything else. */
export function classOf(value: Slice): i32 {
  if (lenOf(value) !== 1) return -1;
  const digit = byteAt(value, 0) - 0x30;
  return digit <= 9 ? (digit as i32) : -1;
}

/**
 * 0 … 127: alike on every hop for one hash. The salt changes with the hour, so that nobody is unlucky for good.
 * @param now Unix time in milliseconds
 */
export function cohortOf(hash: u64, now: f64): i32 {
  const hour = (max<f64>(0, min<f64>(now / HOUR_MS, 1e9)) as u64) + 1;
  return (mix64(hash ^ mix64(hour)) & 127) as i32;
}

/** Queueing that a class is granted, as a multiple of the target T2. */
export function patience(class_: i32): f64 {
  if (class_ < DEFAULT) return 2.5;
  return class_ < BATCH ? 1.5 : 0.75;
}
