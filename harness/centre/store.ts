import { MAX_VERDICT_MS } from './api.ts';

/** What the centre knows, apart from which replica knows it. All times are the centre's, in ms since 1970. */

/** Reports older than this say nothing any more: agreement has to come within it. */
export const WINDOW_MS = 10_000;

export type VerdictKind = 'quarantine' | 'ok' | 'restart';

export interface Verdict {
  readonly service: string;
  readonly host: string;
  readonly verdict: VerdictKind;
  readonly version: number;
  readonly expires: number;
  readonly reason: string;
  /** When the host was first put out, without a break since. */
  readonly since: number;
}

/** What one identity said of one host within the window. */
export interface Row {
  readonly requests: number;
  readonly errors: number;
  readonly listed: boolean;
  readonly at: number;
}

/** What an operator has said last of an instance. */
export interface Isolation {
  readonly instance: string;
  readonly isolated: boolean;
  readonly version: number;
  /** Whose order it is, and since when. */
  readonly by: string;
  readonly at: number;
  /** Version that its agent has heard last. */
  readonly heard: number;
}

export interface HostKey {
  readonly service: string;
  readonly host: string;
}

export interface Store {
  /** False when the identity has used this sequence or a higher one before. */
  accept(identity: string, sequence: number): Promise<boolean>;
  put(identity: string, rows: readonly (HostKey & Omit<Row, 'at'>)[], now: number): Promise<void>;
  /** Hosts that somebody has listed within the window. */
  suspects(now: number): Promise<HostKey[]>;
  /** By identity, within the window. */
  rows(key: HostKey, now: number): Promise<ReadonlyMap<string, Row>>;
  /** Gives the verdict the next version. */
  decide(verdict: Omit<Verdict, 'version'>): Promise<Verdict>;
  /** Verdicts that have not expired. */
  verdicts(now: number): Promise<Verdict[]>;
  /** Gives the order the next version. It holds until the next one of the same instance. */
  isolate(order: Omit<Isolation, 'version' | 'heard'>): Promise<Omit<Isolation, 'heard'>>;
  isolations(): Promise<Isolation[]>;
  heard(instance: string, version: number): Promise<void>;
  /** Whether replica `id` is the one that decides, for the next `ms`. */
  lead(id: string, ms: number, now: number): Promise<boolean>;
  /** Counts an action in a window; false when `limit` of them have been counted already. */
  spend(what: string, limit: number, windowMs: number, now: number): Promise<boolean>;
  close(): Promise<void>;
}

export function keyOf({ service, host }: HostKey): string {
  return `${service}|${host}`;
}

export function keyFrom(text: string): HostKey {
  const at = text.indexOf('|');
  return { service: text.slice(0, at), host: text.slice(at + 1) };
}

/** Two reports within the window are one. */
export function merged(before: Row | undefined, next: Omit<Row, 'at'>, now: number): Row {
  const fresh = before !== undefined && now - before.at < WINDOW_MS;
  return {
    requests: next.requests + (fresh ? before.requests : 0),
    errors: next.errors + (fresh ? before.errors : 0),
    listed: next.listed,
    at: now,
  };
}

/** The state of a centre without replicas. Bounded by instances times identities, by orders on known instances, and by the window. */
export class MemoryStore implements Store {
  readonly #sequences = new Map<string, number>();
  readonly #rows = new Map<string, Map<string, Row>>();
  readonly #suspects = new Map<string, number>();
  readonly #verdicts = new Map<string, Verdict>();
  readonly #isolations = new Map<string, Isolation>();
  readonly #spent = new Map<string, number[]>();
  #version = 0;

  accept(identity: string, sequence: number): Promise<boolean> {
    const fresh = sequence > (this.#sequences.get(identity) ?? 0);
    if (fresh) this.#sequences.set(identity, sequence);
    return Promise.resolve(fresh);
  }

  put(identity: string, rows: readonly (HostKey & Omit<Row, 'at'>)[], now: number): Promise<void> {
    for (const row of rows) {
      const key = keyOf(row);
      const known = this.#rows.get(key) ?? new Map<string, Row>();
      this.#rows.set(key, known);
      known.set(identity, merged(known.get(identity), row, now));
      if (row.listed) this.#suspects.set(key, now);
    }
    return Promise.resolve();
  }

  suspects(now: number): Promise<HostKey[]> {
    for (const [key, at] of this.#suspects) if (now - at > WINDOW_MS) this.#suspects.delete(key);
    return Promise.resolve([...this.#suspects.keys()].map(keyFrom));
  }

  rows(key: HostKey, now: number): Promise<ReadonlyMap<string, Row>> {
    const known = this.#rows.get(keyOf(key)) ?? new Map<string, Row>();
    for (const [identity, row] of known) if (now - row.at > WINDOW_MS) known.delete(identity);
    return Promise.resolve(known);
  }

  decide(verdict: Omit<Verdict, 'version'>): Promise<Verdict> {
    const given = { ...verdict, version: this.#next() };
    this.#verdicts.set(keyOf(verdict), given);
    return Promise.resolve(given);
  }

  verdicts(now: number): Promise<Verdict[]> {
    for (const [key, { expires }] of this.#verdicts) if (expires <= now) this.#verdicts.delete(key);
    return Promise.resolve([...this.#verdicts.values()]);
  }

  isolate(order: Omit<Isolation, 'version' | 'heard'>): Promise<Omit<Isolation, 'heard'>> {
    const given = { ...order, version: this.#next() };
    this.#isolations.set(order.instance, { ...given, heard: 0 });
    return Promise.resolve(given);
  }

  isolations(): Promise<Isolation[]> {
    return Promise.resolve([...this.#isolations.values()]);
  }

  heard(instance: string, version: number): Promise<void> {
    const told = this.#isolations.get(instance);
    if (told !== undefined) this.#isolations.set(instance, { ...told, heard: version });
    return Promise.resolve();
  }

  /** Time as the least version keeps versions rising over a restart. */
  #next(): number {
    this.#version = Math.max(this.#version + 1, Date.now());
    return this.#version;
  }

  lead(): Promise<boolean> {
    return Promise.resolve(true);
  }

  spend(what: string, limit: number, windowMs: number, now: number): Promise<boolean> {
    const recent = (this.#spent.get(what) ?? []).filter((at) => now - at < windowMs);
    const allowed = recent.length < limit;
    if (allowed) recent.push(now);
    this.#spent.set(what, recent);
    return Promise.resolve(allowed);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

export function boundedExpiry(now: number, ms: number): number {
  return now + Math.min(ms, MAX_VERDICT_MS);
}
