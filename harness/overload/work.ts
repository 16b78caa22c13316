import type { Random } from './random.ts';

/** How long a request occupies a slot, milliseconds. */
export type ServiceTime =
  | { readonly kind: 'fixed' | 'exponential'; readonly meanMs: number }
  | { readonly kind: 'bimodal'; readonly shortMs: number; readonly longMs: number; readonly longShare: number };

export interface WorkSettings {
  /** Requests that are worked on at once. */
  readonly slots: number;
  readonly service: ServiceTime;
  /** Factor on every service time that starts from now on; 2 = half the speed. */
  readonly slowdown: number;
  /** Time that a request waits for somebody else after its service, milliseconds; it occupies no slot then. */
  readonly dependencyMs: number;
}

/** Requests per second that the settings allow. */
export function capacityOf({ slots, service, slowdown }: WorkSettings): number {
  return (1_000 * slots) / (meanMs(service) * slowdown);
}

export function meanMs(service: ServiceTime): number {
  if (service.kind !== 'bimodal') return service.meanMs;
  return service.shortMs + (service.longMs - service.shortMs) * service.longShare;
}

interface Job<T> {
  readonly item: T;
  readonly arrived: number;
  started: number;
  finish: number;
}

/** A pause of the whole process longer than this is time in which no work was done, milliseconds. */
const STOPPED_MS = 250;

/**
 * A first-come-first-served queue before a number of slots. Nothing leaves it but by being served: a caller that gave up is
 * worked on all the same. Starts and ends are computed in exact time, however late the timer is that looks at them, so the
 * capacity is what the settings say; only a process that stood still (SIGSTOP) has lost the time.
 */
export class Work<T> {
  private settings: WorkSettings;
  private readonly random: Random;
  /** When each slot is free again. */
  private free: number[];
  private readonly queue: Job<T>[] = [];
  private head = 0;
  private running: Job<T>[] = [];
  private looked = 0;
  private deck: number[] = [];

  constructor(settings: WorkSettings, random: Random) {
    this.settings = settings;
    this.random = random;
    this.free = new Array<number>(settings.slots).fill(0);
  }

  /** Takes effect for what starts from now on. The number of slots stays. */
  change(settings: Partial<Omit<WorkSettings, 'slots'>>): void {
    this.settings = { ...this.settings, ...settings };
    this.deck = [];
  }

  /** Requests that wait or are worked on. */
  get inHand(): number {
    return this.queue.length - this.head + this.running.length;
  }

  add(item: T, now: number): void {
    this.advance(now);
    this.queue.push({ item, arrived: now, started: 0, finish: 0 });
  }

  /** Calls `done` for everything that has ended by `now`, with the milliseconds that it had waited for its slot. */
  finish(now: number, done: (item: T, waitedMs: number) => void): void {
    this.advance(now);
    const ended = this.running.filter((job) => job.finish <= now);
    if (ended.length === 0) return;
    this.running = this.running.filter((job) => job.finish > now);
    for (const { item, started, arrived } of ended) done(item, started - arrived);
  }

  private advance(now: number): void {
    const gap = now - this.looked;
    if (gap > STOPPED_MS && this.inHand > 0) this.shift(this.looked, gap);
    this.looked = now;
    for (;;) {
      const next = this.queue[this.head];
      if (next === undefined) break;
      const slot = this.soonest();
      const at = Math.max(this.free[slot] ?? 0, next.arrived);
      if (at > now) break;
      this.head++;
      next.started = at;
      const ends = at + this.serviceMs();
      this.free[slot] = ends;
      next.finish = ends + this.settings.dependencyMs;
      this.running.push(next);
    }
    if (this.head > 1_024) {
      this.queue.splice(0, this.head);
      this.head = 0;
    }
  }

  private shift(since: number, gap: number): void {
    this.free = this.free.map((at) => (at > since ? at + gap : at));
    for (const job of this.running) if (job.finish > since) job.finish += gap;
  }

  private soonest(): number {
    let best = 0;
    for (let n = 1; n < this.free.length; n++) if ((this.free[n] ?? 0) < (this.free[best] ?? 0)) best = n;
    return best;
  }

  private serviceMs(): number {
    if (this.deck.length === 0) this.deck = shuffled(deckOf(this.settings.service), this.random);
    return (this.deck.pop() ?? 0) * this.settings.slowdown;
  }
}

/** Service times are dealt from shuffled decks of this many, each with exactly the mean of its distribution. */
const DECK = 190;

/**
 * One deck: independent draws would move the capacity by a few percent from one run to the next, more than what is looked for.
 */
function deckOf(service: ServiceTime): number[] {
  switch (service.kind) {
    case 'fixed':
      return [service.meanMs];
    case 'exponential': {
      const quantiles = Array.from({ length: DECK }, (_, n) => -Math.log(1 - (n + 0.5) / DECK));
      const mean = quantiles.reduce((sum, one) => sum + one, 0) / DECK;
      return quantiles.map((one) => (one / mean) * service.meanMs);
    }
    case 'bimodal': {
      const long = Math.round(DECK * service.longShare);
      return Array.from({ length: DECK }, (_, n) => (n < long ? service.longMs : service.shortMs));
    }
  }
}

function shuffled(values: number[], random: Random): number[] {
  for (let n = values.length - 1; n > 0; n--) {
    const other = random.below(n + 1);
    [values[n], values[other]] = [values[other] ?? 0, values[n] ?? 0];
  }
  return values;
}
