import { Counter, counter, Gauge, gauge } from 'proxy-wasm-assemblyscript-sdk';
import { Learned } from './policy';

const PREFIX = 'causeway_trace_propagation_';

/** What the filter counts; README.md explains each. Defined at configure time, because that takes host calls. */
@final
export class TraceMetrics {
  stored: Counter = NOWHERE;
  refreshed: Counter = NOWHERE;
  unpinned: Counter = NOWHERE;
  evictedLive: Counter = NOWHERE;
  conflictKept: Counter = NOWHERE;
  conflictReplaced: Counter = NOWHERE;
  casExhausted: Counter = NOWHERE;
  invalidTag: Counter = NOWHERE;
  explicit: Counter = NOWHERE;
  hit: Counter = NOWHERE;
  miss: Counter = NOWHERE;
  untagged: Counter = NOWHERE;
  leakedNoId: Counter = NOWHERE;
  leakedUnknownId: Counter = NOWHERE;
  baggageDropped: Counter = NOWHERE;
  /** References that requests in flight hold. */
  pinned: Gauge = NO_GAUGE;

  define(): void {
    this.stored = total('stored');
    this.refreshed = total('refreshed');
    this.unpinned = total('unpinned');
    this.evictedLive = total('evicted_live');
    this.conflictKept = total('conflict', '.kind.kept');
    this.conflictReplaced = total('conflict', '.kind.replaced');
    this.casExhausted = total('cas_exhausted');
    this.invalidTag = total('invalid_tag');
    this.explicit = total('explicit');
    this.hit = total('hit');
    this.miss = total('miss');
    this.untagged = total('untagged');
    this.leakedNoId = total('leaked', '.reason.no_id');
    this.leakedUnknownId = total('leaked', '.reason.unknown_id');
    this.baggageDropped = total('baggage_dropped');
    this.pinned = gauge(PREFIX + 'pinned');
  }

  /** Counts the outcome of one `TraceMap.learn`. */
  learned(bits: u32): void {
    if (bits === 0) this.casExhausted.add();
    if (bits & Learned.STORED) this.stored.add();
    if (bits & Learned.REFRESHED) this.refreshed.add();
    if (bits & Learned.EVICTED_LIVE) this.evictedLive.add();
    if (bits & Learned.CONFLICT_KEPT) this.conflictKept.add();
    if (bits & Learned.CONFLICT_REPLACED) this.conflictReplaced.add();
    if (bits & Learned.PINNED) this.pinned.move(1);
    else if (bits !== 0 && (bits & Learned.CONFLICT_KEPT) === 0) this.unpinned.add();
  }
}

/** Stands in until `define`; its number 0 is no metric. */
const NOWHERE = new Counter(0);
const NO_GAUGE = new Gauge(0);

function total(event: string, labels: string = ''): Counter {
  return counter(PREFIX + event + '_total' + labels);
}
