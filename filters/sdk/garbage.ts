/**
 * Garbage collection. The release build uses AssemblyScript's `minimal` runtime: no write barriers and no shadow stack,
 * about half the code and nothing to pay on a request's path, which allocates nothing. In exchange a collection may only
 * run when no managed object is held by a local variable: as the very last thing of a top-level callback.
 */

/** Ticks between two collections that only look for what ticks and answers have left behind. */
const TICKS_BETWEEN: i32 = 60;

let ticks: i32 = 0;

/** After a configuration, whose parsed tree is garbage by now, or the end of a plugin. */
export function collectNow(): void {
  __collect();
}

export function collectOnTick(): void {
  if (++ticks < TICKS_BETWEEN) return;
  ticks = 0;
  __collect();
}
