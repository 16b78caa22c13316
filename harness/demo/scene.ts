import type { Agreement, WantedEdge } from './claims.ts';
import type { Asking, Stage } from './stage.ts';

export type FilterName = 'lane-tagging' | 'trace-propagation' | 'lane-fallback';
export const FILTERS: readonly FilterName[] = ['lane-tagging', 'trace-propagation', 'lane-fallback'];

/** One scene of the story: what it shows, which filters it cannot do without, and how it is played. */
export interface Scene {
  /** Position in the story, from 0. */
  number: number;
  title: string;
  /** One or two sentences for the person who watches. */
  shows: string;
  /** Without any one of these the scene must fail: that is how we know that its checks bite. */
  needs: readonly FilterName[];
  /** Rates and kills cannot be played once more for each filter in turn. */
  heavy?: boolean;
  /** The driver that it needs, where it does not play on every one. */
  only?: 'process' | 'compose';
  /** False = proxies were killed or made calls without evidence, so the counts cannot be compared. Default true. */
  compare?: boolean;
  play(stage: Stage, record: Recorder): Promise<void>;
}

/** A request that was made, and what the applications proved about it. */
export interface Exchange {
  /** What a person would type, such as `GET /productpage  end-user: dev2`. */
  request: string;
  status: number;
  /** `gateway → productpage v1 (base) → …`. */
  path: string;
  /** In the notation of evidence.ts. */
  hops: readonly string[];
  expected: readonly string[];
  holds: boolean;
}

export interface Check {
  what: string;
  holds: boolean;
  found: string;
}

export interface Figure {
  name: string;
  value: number;
  unit: string;
}

export interface SceneResult {
  number: number;
  title: string;
  shows: string;
  exchanges: Exchange[];
  checks: Check[];
  figures: Figure[];
  agreement?: Agreement;
  /** Everything that was checked holds, and something was checked. */
  holds: boolean;
  elapsedMs: number;
}

export interface Expectation extends Asking {
  /** Status of the whole answer. Default 200. */
  status?: number;
  /** What the applications must prove, in the notation of evidence.ts. */
  hops: readonly string[];
  /** The lane that the request asks for on each call, for the proxies' claims; by service where it differs. */
  wants: string | Readonly<Record<string, string>>;
  /** How often the gateway tries, when it does more than once: each try is a call tree of its own. Default 1. */
  tries?: number;
  /** Calls that an instance's sidecar answered in place of its application: the proxies count that instance's lane. */
  servedBySidecar?: Readonly<Record<string, string>>;
}

/** Collects what a scene finds. */
export class Recorder {
  readonly exchanges: Exchange[] = [];
  readonly checks: Check[] = [];
  readonly figures: Figure[] = [];
  /** Calls whose claims are compared at the scene's end. */
  readonly proved: WantedEdge[] = [];
  private readonly stage: Stage;
  private readonly watch: (line: Exchange | Check) => void;

  constructor(stage: Stage, watch: (line: Exchange | Check) => void = () => {}) {
    this.stage = stage;
    this.watch = watch;
  }

  /** Makes one request and checks which instances worked on it. */
  async ask(expectation: Expectation): Promise<Exchange> {
    const { hops: expected, wants, status: right = 200 } = expectation;
    const seen = await this.stage.ask(expectation);
    for (const edge of seen.edges) {
      const wanted = typeof wants === 'string' ? wants : (wants[edge.service] ?? this.stage.mesh.baseline);
      const sidecar = edge.served === 'none' ? expectation.servedBySidecar?.[edge.service] : undefined;
      const proved = { ...edge, wanted, ...(sidecar === undefined ? {} : { served: sidecar }) };
      const times = edge.caller === this.stage.gatewayId ? 1 : (expectation.tries ?? 1);
      for (let n = 0; n < times; n++) this.proved.push(proved);
    }
    const holds = seen.status === right && seen.hops.join(' ') === expected.join(' ');
    const exchange = { request: seen.request, status: seen.status, path: seen.path, hops: seen.hops, expected, holds };
    this.exchanges.push(exchange);
    this.watch(exchange);
    return exchange;
  }

  check(what: string, holds: boolean, found: unknown): void {
    const check = { what, holds, found: typeof found === 'string' ? found : (JSON.stringify(found) ?? String(found)) };
    this.checks.push(check);
    this.watch(check);
  }

  figure(name: string, value: number, unit: string): void {
    this.figures.push({ name, value: Math.round(value * 100) / 100, unit });
  }
}
