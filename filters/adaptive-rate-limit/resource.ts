import { Count, Whole, Window } from './window';

/** Resource detection: is the instance short of something, and for how long? */

/** No signal has spoken. */
export const SILENT: f64 = -1;

/** Part of the admitted requests that overload-shedding may refuse: it keeps the queue short, so that T2 tells nothing. */
const SHED_PART: f64 = 0.01;

/** What is shed behind the limits, by its threshold. */
export function shedLevel(window: Window): f64 {
  const shed = window.whole(Whole.Shed);
  return shed > 0 ? shed / max(window.sum(Count.Admitted), 1) / SHED_PART : SILENT;
}

@final
export class ResourceDetection {
  /** Whole seconds above the threshold, up to now. */
  above: f64 = 0;
  /** The level looked at last: 1 = at the threshold. */
  level: f64 = 0;

  constructor(
    /** Seconds above the threshold until limits are made. */
    private readonly after: f64,
  ) {}

  /**
   * Looks at the level, once a second: the worst of all signals, each divided by its threshold; `SILENT` when none has spoken,
   * which leaves everything as it is: an application that has stopped answering is not well.
   */
  look(level: f64): void {
    if (!(level >= 0)) return;
    this.level = level;
    this.above = level > 1 ? this.above + 1 : 0;
  }

  /** Above its threshold right now. */
  get hot(): bool {
    return this.level > 1;
  }

  /** Above it for so long that something has to be done. */
  get short(): bool {
    return this.above >= this.after;
  }
}
