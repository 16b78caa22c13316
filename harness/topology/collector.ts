import type { Mesh } from '../../envoy-configs/mesh.ts';
import { EnvoyAdmin } from '../envoy/admin.ts';
import { Calls } from './calls.ts';
import { columnsOf, declaredCalls } from './columns.ts';
import { Counters } from './counters.ts';
import { FactBook } from './facts.ts';
import { STEP_MS, Steps } from './history.ts';
import { LogTail } from './log-tail.ts';
import { METRIC_PREFIX } from './metric-name.ts';
import type { History, ProxyInfo, Topology } from './model.ts';
import { type Node, Places } from './places.ts';

/** A mesh that runs, as it is known at the moment of asking. */
export interface Running {
  readonly mesh: Mesh;
  readonly nodes: readonly Node[];
}

export interface CollectorOptions {
  /** Undefined when no mesh runs any more. Asked before each poll. */
  running(): Running | undefined;
  /** Milliseconds since 1970. Default: the clock. */
  now?(): number;
  /** How long one Envoy may take to answer. Default 900 ms. */
  timeoutMs?: number;
}

/** Envoys that are asked at the same time. */
const AT_ONCE = 16;
const POLL_MS = 1_000;
const FILTER = `^${METRIC_PREFIX.replace('.', '\\.')}`;

interface Watched {
  readonly node: Node;
  readonly counters: Counters;
  readonly log: LogTail;
  state: ProxyInfo['state'];
  since: number;
  takenAt: number;
}

/** Looks at every Envoy of a mesh and keeps what it has seen for fifteen minutes. Memory is bounded. */
export class Collector {
  private readonly options: CollectorOptions;
  private readonly now: () => number;
  private readonly watched = new Map<string, Watched>();
  private readonly facts = new FactBook();
  private readonly steps: Steps;
  private readonly calls = new Calls();
  private places: Places | undefined;
  private latest: Topology | undefined;

  constructor(options: CollectorOptions) {
    this.options = options;
    this.now = options.now ?? Date.now;
    this.steps = new Steps(this.now());
  }

  /** The last poll's outcome. */
  get topology(): Topology | undefined {
    return this.latest;
  }

  /** One look at every Envoy. Undefined when no mesh runs. An Envoy that does not answer is only noted. */
  async poll(): Promise<Topology | undefined> {
    const running = this.options.running();
    if (running === undefined) return undefined;
    const places = this.places?.mesh === running.mesh ? this.places : new Places(running.mesh);
    this.places = places;
    this.follow(running.nodes);
    this.calls.advance(this.steps.advance(this.now()));
    const waiting = [...this.watched.values()];
    const worker = async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await this.look(next, places);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    this.latest = this.compute(places);
    return this.latest;
  }

  /** Points of one service by lane, or of one edge. Undefined when there is no such thing. */
  history(what: { service: string } | { edge: string }): History | undefined {
    const series = this.calls.series(what, this.steps.finished);
    return series && { stepSeconds: STEP_MS / 1000, at: this.steps.latest, series };
  }

  /** Polls once a second until the signal fires. `seen` gets undefined when no mesh runs. */
  async run(signal: AbortSignal, seen: (topology: Topology | undefined) => void): Promise<void> {
    while (!signal.aborted) {
      const start = performance.now();
      seen(await this.poll());
      await pause(Math.max(50, POLL_MS - (performance.now() - start)), signal);
    }
  }

  private follow(nodes: readonly Node[]): void {
    const ids = new Set(nodes.map(({ id }) => id));
    for (const id of this.watched.keys()) {
      if (ids.has(id)) continue;
      this.watched.delete(id);
      this.facts.forget(id);
    }
    for (const node of nodes) {
      if (this.watched.get(node.id)?.node.adminSocket === node.adminSocket) continue;
      const log = new LogTail(node.accessLog);
      const since = this.now();
      this.watched.set(node.id, { node, counters: new Counters(), log, state: 'live', since, takenAt: 0 });
    }
  }

  private async look(watched: Watched, places: Places): Promise<void> {
    const { node, counters, log } = watched;
    const admin = new EnvoyAdmin(node.adminSocket);
    const values = await admin.stats(FILTER, this.options.timeoutMs ?? 900).catch(() => undefined);
    // A log that cannot be read is as one that is not there.
    const lines = await log.read().catch(() => []);
    const now = this.now();
    const state = values === undefined ? 'silent' : 'live';
    if (state !== watched.state) {
      watched.state = state;
      watched.since = now;
      if (state === 'silent') this.facts.forget(node.id);
    }
    const { fresh } = counters;
    const risen = values === undefined ? new Map<string, number>() : counters.rise(values);
    this.calls.take(places, node.id, risen, lines, fresh);
    if (values === undefined) return;
    this.facts.take(node.id, values, risen, watched.takenAt === 0 ? 0 : (now - watched.takenAt) / 1000);
    watched.takenAt = now;
  }

  private compute(places: Places): Topology {
    const { mesh } = places;
    const now = this.now();
    const windowSeconds = this.steps.windowSeconds(now);
    const { edges, found, observed } = this.calls.compute(places, windowSeconds);
    const names = [...mesh.gateways.map(({ id }) => id), ...mesh.services.map(({ name }) => name)];
    if (found.some(({ kind, service }) => kind === 'absent' && !names.includes(service))) names.push('other');
    return {
      mesh: mesh.name,
      baseline: mesh.baseline,
      at: now,
      windowSeconds: Math.round(windowSeconds * 10) / 10,
      lanes: places.lanes,
      columns: columnsOf(names, [...declaredCalls(mesh), ...observed]),
      places: found,
      edges,
      proxies: [...this.watched.values()].map(({ node, state, since }) => ({
        id: node.id,
        place: places.of(node.id)?.id ?? '',
        state,
        since,
      })),
      filters: this.facts.states(now),
    };
  }
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener('abort', done, { once: true });
  });
}
