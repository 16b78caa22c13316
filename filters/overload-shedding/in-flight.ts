/**
 * Requests in flight, and *ghosts*: a request that its caller has cancelled is still being worked on, so it counts until a
 * request admitted later completes, or for a second. Without them every limit of this kind collapses when callers time
 * out: each cancelled request would make room for one more that the server has no time for.
 */

const GHOSTS: i32 = 1024;
const GHOST_LIFE_MS: f64 = 1000;

@final
export class InFlight {
  /** Open requests, without ghosts. */
  open: i32 = 0;
  private sequence: u32 = 0;
  /** Ring of ghosts in the order of their cancellation, which is nearly that of their admission. */
  private numbers: StaticArray<u32> = new StaticArray<u32>(GHOSTS);
  private ends: StaticArray<f64> = new StaticArray<f64>(GHOSTS);
  private first: i32 = 0;
  private ghosts: i32 = 0;

  /** A request is admitted; its number goes to `complete`, `cancel` or `leave`. */
  admit(): u32 {
    this.open++;
    return ++this.sequence;
  }

  /** The application has answered request `number`: what it was sent before has had its turn. */
  complete(number: u32): void {
    this.leave();
    while (this.ghosts > 0 && ((number - unchecked(this.numbers[this.first])) as i32) > 0) this.forgetFirst();
  }

  /** The caller has given up; the application does not know. */
  cancel(number: u32, now: f64): void {
    this.leave();
    if (this.ghosts === GHOSTS) this.forgetFirst();
    const at = (this.first + this.ghosts) & (GHOSTS - 1);
    unchecked((this.numbers[at] = number));
    unchecked((this.ends[at] = now + GHOST_LIFE_MS));
    this.ghosts++;
  }

  /** The request has ended without having reached the application. */
  leave(): void {
    if (this.open > 0) this.open--;
  }

  /**
   * Nothing but ghosts: nobody will tell when the application is through with them, so one request must be let in to find
   * out.
   */
  onlyGhosts(): bool {
    return this.open === 0 && this.ghosts > 0;
  }

  /** Open requests and ghosts at time `now`, in milliseconds. */
  count(now: f64): i32 {
    // An end far in the future is from before the clock was set back.
    while (this.ghosts > 0) {
      const left = unchecked(this.ends[this.first]) - now;
      if (left > 0 && left <= GHOST_LIFE_MS) break;
      this.forgetFirst();
    }
    return this.open + this.ghosts;
  }

  private forgetFirst(): void {
    this.first = (this.first + 1) & (GHOSTS - 1);
    this.ghosts--;
  }
}
