/** The agent's decisions: how often it may ask, and what an answer about pressure says. Times are in milliseconds. */
import { byteAt, lenOf, Slice } from 'proxy-wasm-assemblyscript-sdk/slice';
import { UNKNOWN_PRESSURE } from './layout';

/** Costs that are remembered: a stall of the machine must not slow the agent down for longer than this many polls. */
const REMEMBERED: i32 = 4;

/**
 * How often something is asked for so that it takes no more than its share of the main thread. The cost of a poll is the
 * time from asking to having read the answer: admin and agent both work on the main thread, so it is never less than what
 * they take. The least of the last few counts, since everything else that happens meanwhile only adds to it.
 */
@final
export class Pace {
  private readonly costs: StaticArray<u64> = new StaticArray<u64>(REMEMBERED);
  private polls: i32 = 0;

  constructor(
    /** Never more often than this. */
    readonly shortest: u64,
    /** Share of the main thread, in units of 0.01 %. At least 1. */
    private readonly share: u64,
  ) {}

  /** A poll took so many nanoseconds. A clock that was set back counts as no cost. */
  spent(nanoseconds: u64): void {
    const cost = nanoseconds > LONGEST_COST_NS ? 0 : nanoseconds;
    this.costs[this.polls % REMEMBERED] = cost;
    this.polls = this.polls + 1 < 2 * REMEMBERED ? this.polls + 1 : REMEMBERED;
  }

  /** Nanoseconds. */
  cost(): u64 {
    const count = min(this.polls, REMEMBERED);
    if (count === 0) return 0;
    let least = u64.MAX_VALUE;
    for (let i = 0; i < count; i++) least = min(least, this.costs[i]);
    return least;
  }

  period(): u64 {
    return min(max(this.shortest, (this.cost() * 10_000) / this.share / 1_000_000), LONGEST_PERIOD_MS);
  }
}

const LONGEST_COST_NS: u64 = 60_000_000_000;
const LONGEST_PERIOD_MS: u64 = 300_000;

/**
 * The value of a line `name: 12` in whole percent, as per mille. `UNKNOWN_PRESSURE` for anything else: no such
 * monitor, or no number of 0 to 100.
 */
export function pressureOf(answer: Slice): i32 {
  const length = lenOf(answer);
  let at = length;
  for (let i = 0; i + 1 < length; i++) {
    if (byteAt(answer, i) !== 0x3a || byteAt(answer, i + 1) !== 0x20) continue;
    at = i + 2;
    break;
  }
  let percent = UNKNOWN_PRESSURE;
  for (; at < length; at++) {
    const digit = byteAt(answer, at) - 0x30;
    if (digit > 9) break;
    percent = max(percent, 0) * 10 + (digit as i32);
    if (percent > 100) return UNKNOWN_PRESSURE;
  }
  const ended = at === length || byteAt(answer, at) === 0x0a || byteAt(answer, at) === 0x0d;
  return percent < 0 || !ended ? UNKNOWN_PRESSURE : percent * 10;
}
