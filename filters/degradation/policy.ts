/** The decisions beside the breaker: what is dropped in proportion, and when a cut holds. */
import { mix64, Slice } from 'proxy-wasm-assemblyscript-sdk/slice';
import { Share } from '../lane-fallback/policy';

/** For `DropRule.scope`: the rule has nothing to do with the service, or applies to all of its interfaces. */
export const NOT_OF: i32 = -2;
export const ALL_OF: i32 = -1;

/** Class of health checks and control: never dropped. */
const CONTROL: i32 = 0;

@final
export class DropRule {
  private readonly threshold: f64;

  constructor(
    percent: f64,
    private readonly share: Share,
    /** Requests of this class and all less important ones. 1–9. */
    private readonly fromClass: i32,
    /** By service: the interface that it applies to, `ALL_OF` or `NOT_OF`. */
    readonly scope: StaticArray<i32>,
  ) {
    this.threshold = percent / 100;
  }

  /** Whether the class of a request matters; else it need not be read. */
  get asksClass(): bool {
    return this.fromClass > 1;
  }

  applies(service: i32, interface_: i32, class_: i32): bool {
    const scope = unchecked(this.scope[service]);
    return class_ !== CONTROL && class_ >= this.fromClass && (scope === ALL_OF || scope === interface_);
  }

  /** By trace, alike on every hop that has a rule of this name; a request without a trace id is drawn by itself. */
  draws(trace: u64, drawn: f64): bool {
    return trace === 0 ? drawn < this.threshold : this.share.draws(trace);
  }
}

/** How long a cut that was made by a signal holds after it: signals flap. */
const HOLD_MS: f64 = 5_000;

/** When a cut holds: by hand, or while a signal is up. */
@final
export class CutTrigger {
  private upUntil: f64 = 0;

  constructor(
    /** By hand. */
    private readonly on: bool,
    /** CPU pressure of the machine, per mille; 0 = not asked. */
    readonly pressure: i32,
    /** The callee sheds this class or a more important one; 0 = not asked. */
    readonly shedClass: i32,
  ) {}

  holds(now: f64): bool {
    // A hold that lies further ahead than it can was set by another clock.
    return this.on || (now < this.upUntil && this.upUntil - now <= HOLD_MS);
  }

  /** By hand: the time need not be known. */
  get always(): bool {
    return this.on;
  }

  /** Pressure as the agent has it, negative when it is not known. */
  seePressure(pressure: i32, now: f64): void {
    if (this.pressure > 0 && pressure >= this.pressure) this.upUntil = now + HOLD_MS;
  }

  /** The callee has said that it sheds keys from `threshold` on (class · 128 + cohort). */
  seeShed(threshold: i64, now: f64): void {
    if (this.shedClass > 0 && threshold < ((this.shedClass + 1) as i64) * 128) this.upUntil = now + HOLD_MS;
  }
}

/** Random numbers for draws that nobody need foresee: SplitMix64. */
@final
export class Draw {
  constructor(private state: u64) {}

  /** 0 ≤ result < 1. */
  next(): f64 {
    this.state += 0x9e3779b97f4a7c15;
    return ((mix64(this.state) >> 11) as f64) * (1.0 / 9007199254740992.0);
  }
}
