import { Baseline, Cell, NO_LIMIT } from './baseline';
import { Count, Window } from './window';

/** Regulator: moves the limits, each second, towards what the instance can take. */

/** While short: the limit shrinks by the excess, between these factors; a quiet second lets it grow. */
const SHRINK_MOST: f64 = 0.7;
const SHRINK_LEAST: f64 = 0.95;
const GROW: f64 = 1.1;
/** A limit that is so many times what comes, for so many seconds, goes. */
const ROOMY: f64 = 1.2;
const ROOMY_SECONDS: f64 = 5;
/** A limit never falls below this part of the interface's calm rate, nor below one request per second. */
const FLOOR: f64 = 0.2;

/** Moves every limit by one second. `excess`: work beyond what can be done, as `Baseline.excess` has just measured it. */
export function regulate(baseline: Baseline, window: Window, hot: bool, excess: f64): void {
  const work = baseline.limitedWork();
  const part = work > 0 ? excess / work : 1;
  const factor = hot ? min(max(1 - part, SHRINK_MOST), SHRINK_LEAST) : GROW;
  for (let i = 0; i < baseline.interfaces; i++) {
    if (!baseline.limited(i)) continue;
    let limit = baseline.get(i, Cell.Limit);
    const floor = max(FLOOR * baseline.get(i, Cell.Rate), 1);
    // From what really came through: a limit that is too high must not be lowered through thin air.
    if (hot) limit = min(limit, window.get(i, Count.Admitted));
    limit = max(limit * factor, floor);
    const spare = limit > ROOMY * window.get(i, Count.Offered) ? baseline.get(i, Cell.Spare) + 1 : 0;
    baseline.set(i, Cell.Spare, spare);
    baseline.set(i, Cell.Limit, spare >= ROOMY_SECONDS ? NO_LIMIT : limit);
  }
}
