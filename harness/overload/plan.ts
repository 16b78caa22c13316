/** Requests of one kind, arriving at random and independently of the answers (Poisson). */
export interface Stream {
  readonly name: string;
  readonly path: string;
  /** Headers of every request. */
  readonly headers: Readonly<Record<string, string>>;
  /** Share of the requests that carry the core class, 0 to 1. */
  readonly coreShare: number;
  /** Where they go, when that is not the plan's address. */
  readonly address?: string;
  /** Requests per second, one phase after the other. */
  readonly phases: readonly Phase[];
  /** Index of the stream whose moments of arrival it shares, given the same phases. Default: moments of its own. */
  readonly twinOf?: number;
}

export interface Phase {
  readonly seconds: number;
  readonly perSecond: number;
}

/** What a load generator does, from its first arrival to its last. */
export interface LoadPlan {
  readonly address: string;
  readonly port: number;
  readonly authority: string;
  readonly streams: readonly Stream[];
  /** Milliseconds after which a caller gives up and closes its connection. */
  readonly patienceMs: number;
  /** Header and value that mark the core class. */
  readonly coreHeader: readonly [name: string, value: string];
  /** Distinct users, each request comes from one of them. */
  readonly users: number;
  readonly userHeader: string;
  readonly seed: number;
}

/** One arrival. */
export interface Arrival {
  /** Milliseconds since the load began. */
  readonly at: number;
  /** Index of its stream. */
  readonly stream: number;
}

export function secondsOf(plan: Pick<LoadPlan, 'streams'>): number {
  return Math.max(0, ...plan.streams.map(({ phases }) => phases.reduce((sum, { seconds }) => sum + seconds, 0)));
}

/** Arrivals that are to be expected. */
export function expectedArrivals({ streams }: Pick<LoadPlan, 'streams'>): number {
  return streams.reduce(
    (sum, { phases }) => sum + phases.reduce((part, { seconds, perSecond }) => part + seconds * perSecond, 0),
    0,
  );
}
