import { MetricType, Status } from './status.ts';

interface Metric {
  readonly type: MetricType;
  readonly name: string;
  value: bigint;
  readonly samples: bigint[];
}

/** Values by name, one store for the whole process as in Envoy. */
export class MetricStore {
  #byName = new Map<string, Metric>();

  define(type: MetricType, name: string): Metric {
    const key = `${type}/${name}`;
    let metric = this.#byName.get(key);
    if (metric === undefined) {
      metric = { type, name, value: 0n, samples: [] };
      this.#byName.set(key, metric);
    }
    return metric;
  }

  /** Value of a counter, else of a gauge; undefined when no VM has defined it. */
  value(name: string): number | undefined {
    const metric = this.#byName.get(`${MetricType.Counter}/${name}`) ?? this.#byName.get(`${MetricType.Gauge}/${name}`);
    return metric === undefined ? undefined : Number(metric.value);
  }

  /** Recorded values of a histogram, in order. */
  samples(name: string): number[] {
    return (this.#byName.get(`${MetricType.Histogram}/${name}`)?.samples ?? []).map(Number);
  }

  /** All counters and gauges that have a value other than zero. */
  nonZero(): Record<string, number> {
    const result: Record<string, number> = {};
    for (const metric of this.#byName.values()) if (metric.value !== 0n) result[metric.name] = Number(metric.value);
    return result;
  }

  names(): string[] {
    return [...this.#byName.values()].map((metric) => metric.name);
  }
}

/** The ids of one VM: the lowest two bits are the type, as in Envoy. */
export class MetricIds {
  #store: MetricStore;
  #byId = new Map<number, Metric>();
  #next: [number, number, number] = [MetricType.Counter, MetricType.Gauge, MetricType.Histogram];

  constructor(store: MetricStore) {
    this.#store = store;
  }

  /** A new id on every call, also for a name that is defined already. */
  define(type: MetricType, name: string): number {
    const id = this.#next[type] + 4;
    this.#next[type] = id;
    this.#byId.set(id, this.#store.define(type, name));
    return id;
  }

  /** A counter takes a positive offset only. */
  increment(id: number, offset: bigint): Status {
    const type = id & 3;
    if (type !== MetricType.Counter && type !== MetricType.Gauge) return Status.BadArgument;
    const metric = this.#byId.get(id);
    if (metric === undefined) return Status.NotFound;
    if (type === MetricType.Counter && offset <= 0n) return Status.BadArgument;
    metric.value = BigInt.asUintN(64, metric.value + offset);
    return Status.Ok;
  }

  /** Adds to a counter, sets a gauge, samples a histogram. */
  record(id: number, value: bigint): Status {
    const metric = this.#byId.get(id);
    if (metric === undefined) return Status.NotFound;
    const unsigned = BigInt.asUintN(64, value);
    if (metric.type === MetricType.Histogram) metric.samples.push(unsigned);
    else metric.value = metric.type === MetricType.Counter ? metric.value + unsigned : unsigned;
    return Status.Ok;
  }

  get(id: number): bigint | Status {
    const type = id & 3;
    if (type !== MetricType.Counter && type !== MetricType.Gauge) return Status.BadArgument;
    return this.#byId.get(id)?.value ?? Status.NotFound;
  }
}
