import {
  admittedLatency,
  due,
  goodput,
  isGood,
  isRefused,
  recoveredAfter,
  share,
} from '../../harness/overload/outcome.ts';
import type { Request } from '../../harness/overload/record.ts';
import { after, finalTimes, fullCapacity, type Scenario, settled } from './scenarios.ts';
import { CORE_SHARE } from './trial.ts';

/** What one trial showed. Shares are 0 to 1, times milliseconds. */
export interface Measures {
  /** Good answers in the steady state as a share of what the application could do, or of what was offered if that was less. */
  goodput: number;
  /** Good answers per second in the steady state. */
  perSecond: number;
  /** Share of the core class that was answered well in the steady state. */
  core: number;
  /** The same as a share of the best that is possible, when even the core class alone is too much. */
  coreOfCeiling: number;
  /** Median and 99th percentile of what was let through in the steady state. */
  p50: number;
  p99: number;
  /** Share refused from the step on. */
  refused: number;
  /** Share refused before the step. */
  refusedBefore: number;
  /** Good answers in the first second after the step. */
  firstSecond: number;
  /** Until goodput is 95 % of what it should be; NaN if never. */
  recovered: number;
  /** Share let through in the steady state. */
  admitted: number;
  /** Lateness of the load generator at worst. */
  lag: number;
}

export function measure(scenario: Scenario, requests: readonly Request[], lag: number): Measures {
  const capacity = fullCapacity(scenario) * scenario.remaining;
  const times = finalTimes(scenario);
  const wanted = capacity * Math.min(1, times);
  const steady = settled(scenario);
  const rest = after(scenario);
  const dueThen = due(requests, steady);
  const perSecond = goodput(requests, steady);
  const core = share(
    dueThen.filter((one) => one.core),
    isGood,
  );
  return {
    // Of what really was offered, when that is less than the capacity: arrivals are random.
    goodput: perSecond / Math.min(capacity, (1_000 * dueThen.length) / (steady.to - steady.from)),
    perSecond,
    core,
    coreOfCeiling: core / Math.min(1, 1 / (CORE_SHARE * times)),
    p50: admittedLatency(dueThen, 0.5),
    p99: admittedLatency(dueThen, 0.99),
    refused: share(due(requests, rest), isRefused),
    refusedBefore: scenario.step === 0 ? 0 : share(due(requests, { from: 0, to: scenario.step }), isRefused),
    firstSecond: goodput(requests, { from: scenario.step, to: scenario.step + 1_000 }),
    recovered: recoveredAfter(requests, rest, 0.95 * wanted),
    admitted: share(dueThen, (one) => !isRefused(one)),
    lag,
  };
}
