/** Time as a value, so that tests of anything that waits need no real seconds. */
export interface Clock {
  /** Milliseconds from some fixed instant; never goes back. */
  now(): number;
  sleep(ms: number): Promise<void>;
}

export const realClock: Clock = {
  now: () => performance.now(),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};

/** What one look found: done with a value, or not yet with the reason that a later failure will quote. */
export type Look<T> = { done: true; value: T } | { done: false; why: string };

export const found = <T>(value: T): Look<T> => ({ done: true, value });
export const notYet = (why: string): Look<never> => ({ done: false, why });

export interface WaitOptions {
  /** Whole time allowed, milliseconds. */
  deadlineMs: number;
  /** Time between two looks, milliseconds. Default 25. */
  intervalMs?: number;
  clock?: Clock;
}

export class WaitTimeout extends Error {
  override name = 'WaitTimeout';
}

/**
 * Looks again and again until a look is done or the deadline passes. A look that throws counts as "not yet" with the
 * error's message, except a {@link GiveUp}, which ends the wait at once (the thing waited for can no longer happen).
 */
export async function waitUntil<T>(what: string, look: () => Look<T> | Promise<Look<T>>, options: WaitOptions) {
  const clock = options.clock ?? realClock;
  const start = clock.now();
  let why = 'never looked';
  for (;;) {
    try {
      const seen = await look();
      if (seen.done) return seen.value;
      why = seen.why;
    } catch (error) {
      if (error instanceof GiveUp) throw error;
      why = error instanceof Error ? error.message : String(error);
    }
    if (clock.now() - start >= options.deadlineMs) {
      throw new WaitTimeout(`${what}: not within ${options.deadlineMs} ms (last seen: ${why})`);
    }
    await clock.sleep(options.intervalMs ?? 25);
  }
}

export class GiveUp extends Error {
  override name = 'GiveUp';
}
