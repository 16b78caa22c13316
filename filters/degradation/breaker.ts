/**
 * The breaker of one host for one interface. Times are milliseconds; answers come in as they end.
 *
 *   closed ── p ≥ 0.9 ──▶ open ── cool-down over, a probe went well ──▶ 5 ─▶ 10 ─▶ 25 ─▶ 50 % ── clean ──▶ closed
 *                          ▲ twice as long         └── it went badly ──┐       │ a bad window
 *                          └──────────────────────────────────────────┴───────┘
 *
 * Closed, it refuses with the probability p = max(0, (n − 5 − w·ok) / (n + 1)) over the last 10 s in 40 buckets, where n
 * counts requests with those refused, and w goes from 1.5 down to 1.1 the more buckets in a row have only failures.
 * Source of that law: go-zero's `googlebreaker`, after "Handling Overload" in Google's Site Reliability Engineering.
 */
const BUCKETS: i32 = 40;
const BUCKET_MS: f64 = 250;
const SPARED: f64 = 5;
const WEIGHT: f64 = 1.5;
const LEAST_WEIGHT: f64 = 1.1;
/** Refusal above which the breaker opens. */
const OPENS_AT: f64 = 0.9;
/** In a step of the return: failures that end it at once, given that they are over a third. */
const BAD_AT_ONCE: u32 = 3;
/** Closed for so long, the next cool-down is the shortest again. */
const FORGIVEN_MS: f64 = 300_000;

const SHARES: StaticArray<f64> = [0.05, 0.1, 0.25, 0.5];

export enum BreakerState {
  Closed,
  Open,
  Return,
}

/** The configurable part. */
@final
export class BreakerLaw {
  constructor(
    readonly coolDownMs: f64 = 5_000,
    readonly maxCoolDownMs: f64 = 300_000,
    readonly stepMs: f64 = 5_000,
  ) {}
}

@final
export class Breaker {
  /** Of the host's address; 0 = free, or requests that reached no host. */
  host: u64 = 0;
  taken: bool = false;
  /** The agent says that Envoy sends it nothing. */
  away: bool = false;
  lastAnswer: f64 = 0;
  state: BreakerState = BreakerState.Closed;

  /** By bucket: failures and refusals in the upper half, what went well in the lower. */
  private readonly buckets: StaticArray<u32> = new StaticArray<u32>(BUCKETS);
  private newest: f64 = 0;
  private count: f64 = 0;
  private good: f64 = 0;

  private coolDown: f64 = 0;
  private until: f64 = 0;
  private step: i32 = 0;
  private stepCount: u32 = 0;
  private stepBad: u32 = 0;
  private closedAt: f64 = 0;

  /** Serves another host from now on. */
  take(host: u64, now: f64): void {
    this.host = host;
    this.taken = true;
    this.away = false;
    this.lastAnswer = now;
    this.state = BreakerState.Closed;
    this.coolDown = 0;
    this.closedAt = now;
    this.clear();
  }

  /** Whether it says anything about how the service does now. */
  speaks(now: f64): bool {
    if (!this.taken || this.away) return false;
    this.roll(now);
    return this.state !== BreakerState.Closed || this.count > 0;
  }

  /** Probability, 0–1, with which a request is to be refused now. */
  refusal(now: f64): f64 {
    if (this.state === BreakerState.Open) return 1;
    if (this.state === BreakerState.Return) return 1 - unchecked(SHARES[this.step]);
    this.roll(now);
    return this.byLaw();
  }

  /** A request that would have gone to the host was refused. */
  refused(now: f64): void {
    if (this.state !== BreakerState.Closed) return;
    this.roll(now);
    this.add(now, 0x10000);
    this.count++;
  }

  /** A request to the host has ended. True when the state changed. */
  answered(good: bool, now: f64, law: BreakerLaw): bool {
    const before = this.state;
    this.lastAnswer = now;
    if (before === BreakerState.Open) this.probed(good, now, law);
    else if (before === BreakerState.Return) {
      this.stepCount++;
      if (!good) this.stepBad++;
      if (this.stepBad >= BAD_AT_ONCE && this.isBad()) this.open(now, law);
      else this.endStep(now, law);
    } else {
      this.roll(now);
      this.add(now, good ? 1 : 0x10000);
      this.count++;
      if (good) this.good++;
      else if (this.byLaw() >= OPENS_AT) this.open(now, law);
    }
    return this.state !== before;
  }

  private probed(good: bool, now: f64, law: BreakerLaw): void {
    // Ahead by more than a cool-down can be: the clock was set back.
    if (this.until - now > this.coolDown) this.until = now + this.coolDown;
    if (now < this.until) return;
    if (good) this.begin(0, now, law);
    else this.open(now, law);
  }

  private open(now: f64, law: BreakerLaw): void {
    const forgiven = this.coolDown === 0 || (this.state === BreakerState.Closed && now - this.closedAt > FORGIVEN_MS);
    this.coolDown = forgiven ? law.coolDownMs : min(this.coolDown * 2, law.maxCoolDownMs);
    this.state = BreakerState.Open;
    this.until = now + this.coolDown;
  }

  private begin(step: i32, now: f64, law: BreakerLaw): void {
    this.state = BreakerState.Return;
    this.step = step;
    this.stepCount = 0;
    this.stepBad = 0;
    this.until = now + law.stepMs;
  }

  /** A step lasts until the first answer after its time, so that something has been answered in it. */
  private endStep(now: f64, law: BreakerLaw): void {
    if (this.until - now > law.stepMs) this.until = now + law.stepMs;
    if (now < this.until) return;
    if (this.isBad()) this.open(now, law);
    else if (this.step + 1 < SHARES.length) this.begin(this.step + 1, now, law);
    else {
      this.state = BreakerState.Closed;
      this.closedAt = now;
      this.clear();
    }
  }

  private isBad(): bool {
    return this.stepBad * 3 > this.stepCount;
  }

  private byLaw(): f64 {
    if (this.count <= SPARED) return 0;
    const weight = max(LEAST_WEIGHT, WEIGHT - ((WEIGHT - LEAST_WEIGHT) * (this.failing() as f64)) / BUCKETS);
    return max(0, (this.count - SPARED - weight * this.good) / (this.count + 1));
  }

  /** Buckets in a row, up to now, in which nothing went well; empty ones count for neither side. */
  private failing(): i32 {
    let failing = 0;
    for (let i = 0; i < BUCKETS; i++) {
      const bucket = unchecked(this.buckets[(((this.newest as i64) - i + BUCKETS) % BUCKETS) as i32]);
      if ((bucket & 0xffff) !== 0) break;
      if (bucket !== 0) failing++;
    }
    return failing;
  }

  /** Counts are clamped to 65,535 in a bucket: 262,140 requests a second for one interface of one host. */
  private add(now: f64, what: u32): void {
    const at = ((this.newest as i64) % BUCKETS) as i32;
    const bucket = unchecked(this.buckets[at]);
    const full = what === 1 ? (bucket & 0xffff) === 0xffff : bucket >> 16 === 0xffff;
    if (full) {
      // What the bucket cannot hold must not stay in the sums either.
      this.count--;
      if (what === 1) this.good--;
      return;
    }
    unchecked((this.buckets[at] = bucket + what));
  }

  /** Drops buckets that are over. A clock that went back, or far ahead, empties the window. */
  private roll(now: f64): void {
    const newest = Math.floor(max<f64>(0, min<f64>(now, MOST_MS)) / BUCKET_MS);
    const ahead = newest - this.newest;
    if (ahead === 0) return;
    if (ahead < 0 || ahead >= BUCKETS) this.clear();
    else {
      for (let i: i64 = 1; i <= (ahead as i64); i++) {
        const at = (((this.newest as i64) + i) % BUCKETS) as i32;
        const bucket = unchecked(this.buckets[at]);
        const good = bucket & 0xffff;
        this.good -= good as f64;
        this.count -= (good + (bucket >> 16)) as f64;
        unchecked((this.buckets[at] = 0));
      }
    }
    this.newest = newest;
  }

  private clear(): void {
    for (let i = 0; i < BUCKETS; i++) unchecked((this.buckets[i] = 0));
    this.count = 0;
    this.good = 0;
  }
}

/** Beyond any clock, and exact as a double. */
const MOST_MS: f64 = 1e15;
