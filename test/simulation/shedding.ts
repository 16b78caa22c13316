/**
 * A service instance under open-loop load, event by event, with the compiled policy of overload-shedding in front of it
 * and a clock of its own: k slots serve first come, first served, and go on with what their callers have given up.
 */
import { readFile } from 'node:fs/promises';
import { type ASUtil, instantiateSync } from '@assemblyscript/loader';
import { Random } from '../fuzz/reference/random.ts';
import { compilePlugin } from '../support/compile-plugin.ts';

/** What policy/shedding.ts exports. Times are milliseconds. */
export interface SheddingExports extends Record<string, unknown> {
  _initialize(): void;
  create(count: number, target: number): void;
  replace(worker: number, target: number): void;
  arrive(worker: number, cls: number, cohort: number, dropped: number, now: number): number;
  callerJudges(cls: number, cohort: number, now: number): number;
  callerDropped(cls: number): number;
  callerHears(threshold: number, now: number): void;
  callerAnswered(cls: number, cohort: number, now: number): void;
  admits(worker: number, cls: number, cohort: number, now: number): number;
  end(worker: number, number: number, how: number, t3: number, t2: number, now: number): void;
  tick(worker: number, cpu: number, now: number): void;
  isHot(worker: number): number;
  thresholdOf(worker: number): number;
  toldBy(worker: number): number;
  inFlightOf(worker: number, now: number): number;
  peersOf(worker: number): number;
  queueOf(worker: number): number;
  provenOf(worker: number): number;
  baseOf(worker: number): number;
  recordOf(worker: number): bigint;
}

export type SheddingModule = ASUtil & SheddingExports;

export async function loadShedding(): Promise<SheddingModule> {
  const path = await compilePlugin('test/simulation/policy/shedding.ts', { exportRuntime: true });
  let memory: WebAssembly.Memory | undefined;
  const imports: Record<string, Record<string, unknown>> = {
    env: {
      // Only an abort logs.
      proxy_log: (_level: number, at: number, size: number): never => {
        throw new Error(Buffer.from(memory?.buffer ?? new ArrayBuffer(0), at, size).toString());
      },
    },
  };
  const { exports } = instantiateSync<SheddingExports>(new Uint8Array(await readFile(path)), imports);
  memory = exports.memory;
  exports._initialize();
  return exports;
}

/** How long a request keeps a slot, in ms. */
export type Service =
  | { readonly kind: 'fixed' }
  | { readonly kind: 'exponential' }
  /** One of two times; the mean stays `serviceMs`. */
  | { readonly kind: 'bimodal'; readonly shortMs: number; readonly longMs: number };

export interface Scenario {
  readonly seed: number;
  readonly slots: number;
  readonly serviceMs: number;
  readonly service?: Service;
  /** Requests per second at time t (s). */
  readonly offered: (seconds: number) => number;
  readonly seconds: number;
  /** The application reports T2. */
  readonly exact: boolean;
  readonly workers: number;
  /** Share of requests of class 1; the rest is class 5. Default 0.3. */
  readonly core?: number;
  /** Default 250. */
  readonly patienceMs?: number;
  /** Time that the application waits for others, without a slot, in ms, at time t (s). */
  readonly dependencyMs?: (seconds: number) => number;
  /** Factor on the service time at time t (s). */
  readonly slowness?: (seconds: number) => number;
  /** The application is stopped from … to (s). */
  readonly stopped?: readonly [from: number, to: number];
  /** Callers keep thresholds and drop early. */
  readonly dropsEarly?: boolean;
  /** No filter at all. */
  readonly unprotected?: boolean;
  /** Share of the first worker (rest evenly), changing with time. */
  readonly share?: (seconds: number) => number;
  /** The VM of worker 0 is replaced at this time (s). */
  readonly replacedAt?: number;
  readonly targetMs?: number;
}

/** One request's fate. Times in ms since the start. */
interface Job {
  readonly arrival: number;
  readonly core: boolean;
  readonly cohort: number;
  readonly worker: number;
  readonly number: number;
  readonly admitted: boolean;
  started: number;
  open: boolean;
}

/** Counts per 100 ms. */
export interface Bin {
  offered: number;
  refused: number;
  good: number;
  coreOffered: number;
  coreGood: number;
}

export interface Result {
  readonly bins: readonly Bin[];
  /** Response time of every answered request by time of its arrival (s). */
  readonly latencies: readonly (readonly [at: number, ms: number])[];
  readonly hotAt: readonly number[];
  /** Requests that the caller dropped. */
  readonly early: number;
}

const Kind = { Arrival: 0, Done: 1, Answer: 2, Patience: 3, Tick: 4 } as const;
type Kind = (typeof Kind)[keyof typeof Kind];

interface Event {
  at: number;
  order: number;
  kind: Kind;
  job: Job | undefined;
  worker: number;
}

/** A binary heap by time, then by order of creation. */
class Agenda {
  readonly #heap: Event[] = [];
  #order = 0;

  add(at: number, kind: Kind, job?: Job, worker = 0): void {
    const heap = this.#heap;
    const event = { at, order: this.#order++, kind, job, worker };
    let i = heap.length;
    heap.push(event);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = heap[parent] as Event;
      if (!earlier(event, above)) break;
      heap[i] = above;
      i = parent;
    }
    heap[i] = event;
  }

  next(): Event | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && earlier(heap[child + 1] as Event, heap[child] as Event)) child++;
      const below = heap[child] as Event;
      if (!earlier(below, last)) break;
      heap[i] = below;
      i = child;
    }
    heap[i] = last;
    return first;
  }
}

function earlier(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** Unix time of the start in ms: mid-hour, so that no salt changes on the way. */
const EPOCH = 1_700_001_000_000;
const TICK_MS = 100;
const COMPLETED = 0;
const CANCELLED = 1;
/** Of `Fate`. */
const SAMPLE = 1;
const DROPPED = 2;

export function simulate(module: SheddingModule, scenario: Scenario): Result {
  const random = new Random(scenario.seed);
  const agenda = new Agenda();
  const target = scenario.targetMs ?? 15;
  const patience = scenario.patienceMs ?? 250;
  const end = scenario.seconds * 1000;
  const bins: Bin[] = Array.from({ length: Math.ceil(scenario.seconds * 10) + 1 }, () => ({
    offered: 0,
    refused: 0,
    good: 0,
    coreOffered: 0,
    coreGood: 0,
  }));
  const latencies: [number, number][] = [];
  const hotAt: number[] = [];
  const queue: Job[] = [];
  let head = 0;
  let busy = 0;
  let early = 0;
  module.create(scenario.workers, target);

  const bin = (at: number): Bin => bins[Math.min(bins.length - 1, Math.floor(at / 100))] as Bin;
  const uniform = (): number => (random.u32() + 0.5) / 0x1_0000_0000;
  const stoppedAt = (at: number): boolean =>
    scenario.stopped !== undefined && at >= scenario.stopped[0] * 1000 && at < scenario.stopped[1] * 1000;
  const serviceTime = (at: number): number => {
    const factor = scenario.slowness?.(at / 1000) ?? 1;
    const { service = { kind: 'fixed' }, serviceMs } = scenario;
    if (service.kind === 'fixed') return serviceMs * factor;
    if (service.kind === 'exponential') return -Math.log(uniform()) * serviceMs * factor;
    const long = (serviceMs - service.shortMs) / (service.longMs - service.shortMs);
    return (uniform() < long ? service.longMs : service.shortMs) * factor;
  };
  const serve = (now: number): void => {
    while (busy < scenario.slots && head < queue.length && !stoppedAt(now)) {
      const job = queue[head++] as Job;
      busy++;
      job.started = now;
      agenda.add(now + serviceTime(now), Kind.Done, job);
    }
    if (head > 10_000) {
      queue.splice(0, head);
      head = 0;
    }
  };
  const arrivalAfter = (now: number): void => {
    // Thinning is not needed: rates change in steps, and the next step is at most a tick away.
    const rate = scenario.offered(now / 1000) / 1000;
    const next = rate > 0 ? now - Math.log(uniform()) / rate : now + 10;
    if (next < end) agenda.add(next, Kind.Arrival);
  };

  if (scenario.stopped) agenda.add(scenario.stopped[1] * 1000, Kind.Tick, undefined, -1);
  for (let worker = 0; worker < scenario.workers; worker++) {
    agenda.add((TICK_MS * (worker + 1)) / (scenario.workers + 1), Kind.Tick, undefined, worker);
  }
  arrivalAfter(0);
  let replaced = false;
  for (let event = agenda.next(); event !== undefined; event = agenda.next()) {
    const { at: now, kind, job } = event;
    const time = EPOCH + now;
    switch (kind) {
      case Kind.Arrival: {
        if (scenario.offered(now / 1000) > 0) {
          const core = random.chance(scenario.core ?? 0.3);
          const first = scenario.share?.(now / 1000) ?? 1 / scenario.workers;
          const worker =
            scenario.workers === 1 || uniform() < first ? 0 : 1 + Math.floor(uniform() * (scenario.workers - 1));
          const cohort = random.below(128);
          const number = scenario.unprotected ? 1 : offer(worker, core ? 1 : 5, cohort, time);
          const admitted = number !== 0;
          const made: Job = { arrival: now, core, cohort, worker, number, admitted, started: 0, open: true };
          const counts = bin(now);
          counts.offered++;
          if (core) counts.coreOffered++;
          if (made.admitted) {
            queue.push(made);
            agenda.add(now + patience, Kind.Patience, made);
            serve(now);
          } else counts.refused++;
        }
        arrivalAfter(now);
        break;
      }
      case Kind.Done: {
        if (job === undefined) break;
        if (stoppedAt(now)) {
          const [from, to] = scenario.stopped as readonly [number, number];
          agenda.add(now + (to - from) * 1000, Kind.Done, job);
          break;
        }
        busy--;
        const wait = scenario.dependencyMs?.(now / 1000) ?? 0;
        if (wait > 0) agenda.add(now + wait, Kind.Answer, job);
        else answer(job, now);
        serve(now);
        break;
      }
      case Kind.Answer:
        if (job !== undefined) answer(job, now);
        break;
      case Kind.Patience:
        if (job?.open) {
          job.open = false;
          if (!scenario.unprotected) module.end(job.worker, job.number, CANCELLED, 0, Number.NaN, time);
        }
        break;
      case Kind.Tick:
        if (event.worker < 0) {
          serve(now);
          break;
        }
        if (scenario.replacedAt !== undefined && !replaced && now >= scenario.replacedAt * 1000) {
          replaced = true;
          module.replace(0, target);
        }
        module.tick(event.worker, Number.NaN, time);
        if (event.worker === 0 && module.isHot(0)) hotAt.push(now / 1000);
        scenarioTrace?.(now / 1000, module);
        if (now + TICK_MS < end) agenda.add(now + TICK_MS, Kind.Tick, undefined, event.worker);
        break;
    }
  }
  return { bins, latencies, hotAt, early };

  /** Through the caller's filter, when it has one, and the instance's: the number of the admitted request, or 0. */
  function offer(worker: number, cls: number, cohort: number, time: number): number {
    if (!scenario.dropsEarly) return module.arrive(worker, cls, cohort, 0, time);
    const fate = module.callerJudges(cls, cohort, time);
    if (fate === DROPPED) {
      early++;
      return 0;
    }
    const number = module.arrive(worker, cls, cohort, fate === SAMPLE ? module.callerDropped(cls) : 0, time);
    if (number === 0) module.callerHears(module.toldBy(worker), time);
    return number;
  }

  function answer(job: Job, now: number): void {
    if (!job.open) return;
    job.open = false;
    const counts = bin(now);
    counts.good++;
    if (job.core) bin(job.arrival).coreGood++;
    if (scenario.dropsEarly) module.callerAnswered(job.core ? 1 : 5, job.cohort, EPOCH + now);
    latencies.push([job.arrival / 1000, now - job.arrival]);
    if (scenario.unprotected) return;
    const t2 = scenario.exact ? job.started - job.arrival : Number.NaN;
    module.end(job.worker, job.number, COMPLETED, now - job.arrival, t2, EPOCH + now);
  }
}

let scenarioTrace: ((seconds: number, module: SheddingModule) => void) | undefined;

/** For looking into a run: called on every tick. */
export function onTick(trace: typeof scenarioTrace): void {
  scenarioTrace = trace;
}

/** Figures of the seconds `from` to `to` of a run. Rates per second. */
export interface Figures {
  readonly offered: number;
  readonly goodput: number;
  readonly refused: number;
  /** Answered in time, of the core requests offered. */
  readonly coreShare: number;
  readonly p99: number;
}

export function figures(result: Result, from: number, to: number): Figures {
  const bins = result.bins.slice(Math.round(from * 10), Math.round(to * 10));
  const sum = (key: keyof Bin): number => bins.reduce((total, bin) => total + bin[key], 0);
  const seconds = to - from;
  const times = result.latencies
    .filter(([at]) => at >= from && at < to)
    .map(([, ms]) => ms)
    .sort((a, b) => a - b);
  return {
    offered: sum('offered') / seconds,
    goodput: sum('good') / seconds,
    refused: sum('refused') / seconds,
    coreShare: sum('coreGood') / Math.max(1, sum('coreOffered')),
    p99: times[Math.floor(times.length * 0.99)] ?? 0,
  };
}

/** Seconds after `from` until goodput over 200 ms reaches `rate` per second. */
export function recovery(result: Result, from: number, rate: number): number {
  for (let at = Math.round(from * 10); at + 2 <= result.bins.length; at++) {
    const window = result.bins.slice(at, at + 2);
    const good = window.reduce((total, bin) => total + bin.good, 0);
    if (good / 0.2 >= rate) return at / 10 - from;
  }
  return Number.POSITIVE_INFINITY;
}
