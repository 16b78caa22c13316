/** The adaptive rate limit's policies as a module of their own, for simulations: no host, no clock. */
// Compiled in for its name: the build puts it in place of AssemblyScript's own.
import 'proxy-wasm-assemblyscript-sdk/abi/abort';
import { Buckets } from '../../../filters/adaptive-rate-limit/buckets';
import { AdaptivePolicy } from '../../../filters/adaptive-rate-limit/policy';
import { shedLevel as level } from '../../../filters/adaptive-rate-limit/resource';
import { Count, Whole, Window } from '../../../filters/adaptive-rate-limit/window';

export function policy(interfaces: i32, after: f64): AdaptivePolicy {
  return new AdaptivePolicy(interfaces, after);
}

export function step(it: AdaptivePolicy, window: Window, level: f64): void {
  it.step(window, level, 0);
}

export function limitOf(it: AdaptivePolicy, i: i32): f64 {
  return it.limitOf(i);
}

export function window(interfaces: i32): Window {
  return new Window(interfaces);
}

export function shedLevel(it: Window): f64 {
  return level(it);
}

export function clear(it: Window): void {
  it.clear();
}

export function count(it: Window, i: i32, which: Count, value: f64): void {
  it.add(i, which, value);
}

export function countWhole(it: Window, which: Whole, value: f64): void {
  it.addWhole(which, value);
}

export function buckets(size: i32, workers: i32): Buckets {
  const made = new Buckets(size);
  made.workers = workers;
  return made;
}

export function limit(it: Buckets, i: i32, rate: f64, now: f64, full: bool): void {
  it.limit(i, rate, now, full);
}

export function has(it: Buckets, i: i32, now: f64): bool {
  return it.has(i, now);
}

export function take(it: Buckets, i: i32): bool {
  return it.take(i);
}

export function own(it: Buckets, i: i32): f64 {
  return it.own[i];
}

export function charge(it: Buckets, i: i32, tokens: f64): void {
  it.charge(i, tokens);
}

export function published(it: Buckets): void {
  it.published();
}
