import { Breaker, BreakerLaw, BreakerState } from './breaker';

/**
 * One interface of one service: the breakers of the hosts that have answered for it lately.
 *
 * Which host a request will go to is not known when it must be decided. So it is refused with the probability that even
 * the best of these hosts has: one bad host among good ones makes none of their requests fail here, and is left to what
 * can avoid it (outlier detection, the blacklist). When all are bad, so is the interface.
 */

/** Hosts of one interface that are watched at a time; of more, those that answered last. */
export const HOSTS: i32 = 8;
/** While requests are refused, one passes in so many milliseconds, whatever was drawn. */
const PROBE_MS: f64 = 1_000;

export enum Decision {
  /** Nothing is wrong. */
  Pass,
  /** Passes, though some are refused. */
  Drawn,
  /** Passes, to see whether it goes well. */
  Probe,
  Refuse,
}

/** What an answer did to a breaker. */
export enum Change {
  None,
  Opened,
  Closed,
}

@final
export class Group {
  private readonly breakers: StaticArray<Breaker> = new StaticArray<Breaker>(HOSTS);
  private lastPass: f64 = 0;
  private turn: i32 = 0;
  /** Whether `decide` may find anything but `Pass`; else neither the time nor a draw is needed. */
  troubled: bool = false;

  constructor() {
    for (let i = 0; i < HOSTS; i++) this.breakers[i] = new Breaker();
  }

  /** `drawn` is a random number of 0 ≤ drawn < 1. */
  decide(drawn: f64, now: f64): Decision {
    const refusal = this.refusal(now);
    if (refusal <= 0) {
      this.troubled = this.anyTrouble(now);
      return Decision.Pass;
    }
    const since = now - this.lastPass;
    if (since >= PROBE_MS || since < 0) {
      this.lastPass = now;
      return Decision.Probe;
    }
    if (drawn >= refusal) {
      this.lastPass = now;
      return Decision.Drawn;
    }
    this.countRefusal(now);
    return Decision.Refuse;
  }

  /** Probability that a request is refused now: the least that any host has. */
  refusal(now: f64): f64 {
    let least: f64 = 1;
    let speak = false;
    for (let i = 0; i < HOSTS; i++) {
      const breaker = unchecked(this.breakers[i]);
      if (!breaker.speaks(now)) continue;
      speak = true;
      least = min(least, breaker.refusal(now));
    }
    return speak ? least : 0;
  }

  /** The answer of a host; `host` is 0 when none was reached. */
  answered(host: u64, good: bool, now: f64, law: BreakerLaw): Change {
    const breaker = this.breakerOf(host, now);
    const changed = breaker.answered(good, now, law);
    if (!good) this.troubled = true;
    if (!changed || breaker.state === BreakerState.Return) return Change.None;
    return breaker.state === BreakerState.Open ? Change.Opened : Change.Closed;
  }

  /** Before `hostListed` is called for each host of a list: none is known to be there. */
  beginList(): void {
    for (let i = 0; i < HOSTS; i++) unchecked(this.breakers[i]).away = true;
  }

  hostListed(host: u64): void {
    for (let i = 0; i < HOSTS; i++) {
      const breaker = unchecked(this.breakers[i]);
      if (breaker.host === host) breaker.away = false;
    }
  }

  /** There is no list: all count. */
  forgetList(): void {
    for (let i = 0; i < HOSTS; i++) unchecked(this.breakers[i]).away = false;
  }

  private anyTrouble(now: f64): bool {
    for (let i = 0; i < HOSTS; i++) {
      const breaker = unchecked(this.breakers[i]);
      if (breaker.speaks(now) && (breaker.state !== BreakerState.Closed || breaker.refusal(now) > 0)) return true;
    }
    return false;
  }

  /** The hosts' shares of what was refused are alike. */
  private countRefusal(now: f64): void {
    for (let i = 0; i < HOSTS; i++) {
      this.turn = (this.turn + 1) % HOSTS;
      const breaker = unchecked(this.breakers[this.turn]);
      if (!breaker.speaks(now)) continue;
      breaker.refused(now);
      return;
    }
  }

  /** The host's, a free one, or that of the host that has been silent for longest. */
  private breakerOf(host: u64, now: f64): Breaker {
    let found = unchecked(this.breakers[0]);
    for (let i = 0; i < HOSTS; i++) {
      const breaker = unchecked(this.breakers[i]);
      if (breaker.taken && breaker.host === host) {
        breaker.away = false;
        return breaker;
      }
      if (found.taken && (!breaker.taken || breaker.lastAnswer < found.lastAnswer)) found = breaker;
    }
    found.take(host, now);
    return found;
  }
}
