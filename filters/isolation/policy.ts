/** When an instance lets requests in, and when those that it has let in before must end. Times are in milliseconds. */

/** Why a request is kept out. */
export enum Closed {
  /** It is not. */
  Open,
  /** All traffic is taken off the instance, by its configuration or by order of the healing centre. */
  Isolated,
  /** The instance was told that it will end. */
  Offline,
  /** It has just started. */
  Starting,
}

/** No order of the healing centre holds longer. */
const LONGEST_ORDER_MS: f64 = 60_000;
/** So long an instance that has started waits to hear whether it is isolated; a centre that is silent keeps nobody out. */
const ASKING_MS: f64 = 3_000;

/** Whether an order that ends at `until` holds. One that ends too far ahead is a clock's doing, or somebody's. */
export function holdsOrder(until: f64, time: f64): bool {
  return until > time && until - time <= LONGEST_ORDER_MS;
}

@final
export class Gate {
  private offline: bool = false;
  private starting: bool;
  private asking: bool;
  private ordered: bool = false;
  /** When it closed for requests that flow; negative while it is open for them. */
  private closedAt: f64 = -1;

  constructor(
    private readonly isolated: bool,
    private readonly drainMs: f64,
    /** The first request is let in at this time; 0 = any. */
    private readonly opensAt: f64 = 0,
    /** When the proxy began; negative where the healing centre is not obeyed. */
    private readonly startedAt: f64 = -1,
  ) {
    this.starting = opensAt > 0;
    this.asking = startedAt >= 0;
  }

  /** What holds until `see` is called again. */
  get state(): Closed {
    if (this.offline) return Closed.Offline;
    if (this.isolated || this.ordered) return Closed.Isolated;
    return this.starting || this.asking ? Closed.Starting : Closed.Open;
  }

  /**
   * Takes note of the time and of what the other workers know. `ordered`: until when the centre wants it isolated; negative as long
   * as nobody has asked.
   */
  see(offline: bool, time: f64, ordered: f64 = -1): void {
    this.offline = offline;
    if (this.starting && time >= this.opensAt) this.starting = false;
    this.ordered = this.startedAt >= 0 && holdsOrder(ordered, time);
    if (this.asking) this.asking = ordered < 0 && Math.abs(time - this.startedAt) < ASKING_MS;
    const state = this.state;
    const ends = state === Closed.Isolated || state === Closed.Offline;
    if (!ends) this.closedAt = -1;
    // A clock that jumps back starts the time anew.
    else if (this.closedAt < 0 || time < this.closedAt) this.closedAt = time;
  }

  /** Goes on where the gate of the configuration before was, so that a change of something else restarts no clock. */
  follow(before: Gate): void {
    this.closedAt = before.closedAt;
    this.offline = before.offline;
  }

  /** Requests that were let in before it closed have had their time. */
  drained(time: f64): bool {
    return this.closedAt >= 0 && time - this.closedAt >= this.drainMs;
  }
}
