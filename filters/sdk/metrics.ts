/**
 * Metrics. Counters gather their increments in the module and hand them over on the tick (or `flushMetrics`): one host
 * call a second instead of one a request. Defining a name twice answers the same object, so that a new configuration
 * in the same VM goes on counting. Names show up as `wasmcustom.<name>` in `/stats`.
 */
import { proxy_define_metric, proxy_get_metric, proxy_increment_metric, proxy_record_metric } from './abi/imports';
import { OUT } from './abi/out';
import { MetricType, Status } from './abi/types';
import { ascii, hash64, lenOf, ptrOf } from './slice';

/** Defined metrics, found by the hash of their name; looked up at configure time only, so lists do. */
const counters: Array<Counter> = [];
const gauges: Array<Gauge> = [];
const histograms: Array<Histogram> = [];

function keyOf(name: string): u64 {
  const bytes = ascii(name);
  const key = hash64(bytes);
  heap.free(ptrOf(bytes));
  return key;
}

function define(type: MetricType, name: string): u32 {
  const bytes = ascii(name);
  const status = proxy_define_metric(type, ptrOf(bytes), lenOf(bytes), OUT);
  heap.free(ptrOf(bytes));
  return status === Status.Ok ? load<u32>(OUT) : 0;
}

/** The counter of this name, defined at its first use. Not in the start section: it is a host call. */
export function counter(name: string): Counter {
  const key = keyOf(name);
  for (let i = 0; i < counters.length; i++) {
    if (unchecked(counters[i]).key === key) return counters[i];
  }
  const made = new Counter(define(MetricType.Counter, name), key);
  counters.push(made);
  return made;
}

export function gauge(name: string): Gauge {
  const key = keyOf(name);
  for (let i = 0; i < gauges.length; i++) {
    if (unchecked(gauges[i]).key === key) return gauges[i];
  }
  const made = new Gauge(define(MetricType.Gauge, name), key);
  gauges.push(made);
  return made;
}

export function histogram(name: string): Histogram {
  const key = keyOf(name);
  for (let i = 0; i < histograms.length; i++) {
    if (unchecked(histograms[i]).key === key) return histograms[i];
  }
  const made = new Histogram(define(MetricType.Histogram, name), key);
  histograms.push(made);
  return made;
}

/** Hands to the host what every counter and gauge has gathered. */
export function flushMetrics(): void {
  for (let i = 0; i < counters.length; i++) unchecked(counters[i]).flush();
  for (let i = 0; i < gauges.length; i++) unchecked(gauges[i]).flush();
}

@final
export class Counter {
  private pending: i64 = 0;

  constructor(
    readonly id: u32,
    readonly key: u64 = 0,
  ) {}

  add(count: i64 = 1): void {
    this.pending += count;
  }

  flush(): void {
    if (this.pending === 0) return;
    proxy_increment_metric(this.id, this.pending);
    this.pending = 0;
  }
}

/** A value that every worker may move; it is shared by all of them in the host. */
@final
export class Gauge {
  private pending: i64 = 0;

  constructor(
    readonly id: u32,
    readonly key: u64 = 0,
  ) {}

  set(value: u64): void {
    proxy_record_metric(this.id, value);
  }

  add(offset: i64): void {
    proxy_increment_metric(this.id, offset);
  }

  /** Like `add`, but handed over on the tick, as a counter is: for what moves with every request. */
  move(offset: i64): void {
    this.pending += offset;
  }

  flush(): void {
    if (this.pending === 0) return;
    this.add(this.pending);
    this.pending = 0;
  }

  get(): u64 {
    return proxy_get_metric(this.id, OUT) === Status.Ok ? load<u64>(OUT) : 0;
  }
}

@final
export class Histogram {
  constructor(
    readonly id: u32,
    readonly key: u64 = 0,
  ) {}

  record(value: u64): void {
    proxy_record_metric(this.id, value);
  }
}
