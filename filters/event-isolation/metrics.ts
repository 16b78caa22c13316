import { Counter, counter, Gauge, gauge } from 'proxy-wasm-assemblyscript-sdk';

const PREFIX = 'causeway_event_isolation_';

/** What the filter counts; README.md explains each. */
@final
export class EventMetrics {
  readonly closed: Counter = counter(PREFIX + 'closed_total');
  readonly refused: Counter = counter(PREFIX + 'refused_total');
  readonly open: Gauge = gauge(PREFIX + 'connections');
}
