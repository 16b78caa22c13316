import { Counter, counter, Gauge, gauge } from 'proxy-wasm-assemblyscript-sdk';
import { CLASSES } from './priority';

const PREFIX = 'causeway_overload_shedding_';

/** What the inbound side counts; README.md explains each. Made at configure time, because that takes host calls. */
@final
export class InboundMetrics {
  readonly admitted: Counter = total('admitted');
  readonly refused: StaticArray<Counter> = byClass('refused');
  readonly heldBack: Counter = total('held_back');
  readonly hot: Counter = total('hot');
  readonly badReport: Counter = total('invalid_report');
  readonly badClass: Counter = total('invalid_class');
  readonly badDropped: Counter = total('invalid_dropped');
  /** Share of all keys that is refused, in percent. */
  readonly level: Gauge = gauge(PREFIX + 'level_percent');
  readonly queue: Gauge = gauge(PREFIX + 'queue_microseconds');
  readonly capacity: Gauge = gauge(PREFIX + 'capacity_per_second');
  readonly inFlight: Gauge = gauge(PREFIX + 'in_flight');
}

/** What the outbound side counts. */
@final
export class OutboundMetrics {
  readonly dropped: StaticArray<Counter>;
  readonly believed: Counter = total('believed');
  readonly foreign: Counter = total('foreign_threshold');
  readonly badThreshold: Counter = total('invalid_threshold');

  constructor(services: string[]) {
    this.dropped = new StaticArray<Counter>(services.length);
    for (let i = 0; i < services.length; i++) this.dropped[i] = total('dropped_early', '.service.' + services[i]);
  }
}

function byClass(event: string): StaticArray<Counter> {
  const counters = new StaticArray<Counter>(CLASSES);
  for (let i = 0; i < CLASSES; i++) counters[i] = total(event, '.class.' + i.toString());
  return counters;
}

function total(event: string, labels: string = ''): Counter {
  return counter(PREFIX + event + '_total' + labels);
}
