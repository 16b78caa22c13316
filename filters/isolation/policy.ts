/** When an instance lets requests in, and when those that it has let in before must end. Times are in milliseconds. */

/** Why a request is kept out. */
export enum Closed {
  /** It is not. */
  Open,
  /** All traffic is taken off the instance, by its configuration. */
  Isolated,
  /** The instance was told that it will end. */
  Offline,
  /** It has just started. */
  Starting,
}

@final
export class Gate {
  private offline: bool = false;
  private starting: bool;
  /** When it closed for requests that flow; negative while it is open for them. */
  private closedAt: f64 = -1;

  constructor(
    private readonly isolated: bool,
    private readonly drainMs: f64,
    /** The first request is let in at this time; 0 = any. */
    private readonly opensAt: f64,
  ) {
    this.starting = opensAt > 0;
  }

  /** What holds until `see` is called again. */
  get state(): Closed {
    if (this.offline) return Closed.Offline;
    if (this.isolated) return Closed.Isolated;
    return this.starting ? Closed.Starting : Closed.Open;
  }

  /** Takes note of the time and of what the other workers know. */
  see(offline: bool, time: f64): void {
    this.offline = offline;
    if (this.starting && time >= this.opensAt) this.starting = false;
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
