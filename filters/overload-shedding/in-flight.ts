/**
 * Requests in flight, and *ghosts*: a request that its caller has cancelled is still being worked on, so it counts until a
 * request admitted later completes, or for a second. Without them every limit of this kind collapses when callers time
 * out: each cancelled request would make room for one more that the server has no time for.
 *
 * A request that has been open for 16 seconds, longer than Envoy lets one last unless it is told otherwise, is a *stream*: it is
 * held, not worked on, and no longer counts.
 */

const GHOSTS: i32 = 1024;
const GHOST_LIFE_MS: f64 = 1000;
/** Requests are told apart by the second of their admission, so that those of one second become streams together. */
const GENERATIONS: i32 = 16;
const GENERATION_MS: f64 = 1000;

@final
export class InFlight {
  /** Open requests, without ghosts and streams. */
  open: i32 = 0;
  private sequence: u32 = 0;
  /** Of each generation, the last number before it, and how many are open. */
  private befores: StaticArray<u32> = new StaticArray<u32>(GENERATIONS);
  private opens: StaticArray<i32> = new StaticArray<i32>(GENERATIONS);
  private generation: i32 = 0;
  private begun: f64 = 0;
  /** Ring of ghosts in the order of their cancellation, which is nearly that of their admission. */
  private numbers: StaticArray<u32> = new StaticArray<u32>(GHOSTS);
  private ends: StaticArray<f64> = new StaticArray<f64>(GHOSTS);
  private first: i32 = 0;
  private ghosts: i32 = 0;

  /** A request is admitted; its number goes to `complete`, `cancel` or `leave`. */
  admit(): u32 {
    this.open++;
    unchecked(this.opens[this.generation]++);
    return ++this.sequence;
  }

  /** To be called on ticks: what has become a stream is counted no longer. */
  age(now: f64): void {
    const passed = now - this.begun;
    if (passed >= 0 && passed < GENERATION_MS) return;
    this.begun = now;
    const next = (this.generation + 1) & (GENERATIONS - 1);
    this.open -= unchecked(this.opens[next]);
    unchecked((this.opens[next] = 0));
    unchecked((this.befores[next] = this.sequence));
    this.generation = next;
  }

  /** The application has answered request `number`: what it was sent before has had its turn. False: it was a stream. */
  complete(number: u32): bool {
    if (!this.leave(number)) return false;
    while (this.ghosts > 0 && ((number - unchecked(this.numbers[this.first])) as i32) > 0) this.forgetFirst();
    return true;
  }

  /** The caller has given up; the application does not know. */
  cancel(number: u32, now: f64): void {
    if (!this.leave(number)) return;
    if (this.ghosts === GHOSTS) this.forgetFirst();
    const at = (this.first + this.ghosts) & (GHOSTS - 1);
    unchecked((this.numbers[at] = number));
    unchecked((this.ends[at] = now + GHOST_LIFE_MS));
    this.ghosts++;
  }

  /** Request `number` has ended without having reached the application. False: it was a stream, or none. */
  leave(number: u32): bool {
    for (let i = 0; i < GENERATIONS; i++) {
      const at = (this.generation - i) & (GENERATIONS - 1);
      if (((number - unchecked(this.befores[at])) as i32) <= 0) continue;
      if (unchecked(this.opens[at]) === 0) return false;
      unchecked(this.opens[at]--);
      this.open--;
      return true;
    }
    return false;
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
