import {
  type Cluster,
  type LaneService,
  type LoadAssignment,
  laneScheme,
  serviceClusters,
} from '../../envoy-configs/clusters.ts';
import { failedTriesLog } from '../../envoy-configs/filters.ts';
import { fallbackBridge, serviceRoutes } from '../../envoy-configs/lane-routing.ts';
import type { LbPolicy } from '../../envoy-configs/mesh.ts';
import type { Envoy } from '../../harness/envoy/launcher.ts';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';
import { type Answer, call, envoy, listener, service } from '../bench/fallback-retry/rig.ts';
import { compilePlugin } from '../support/compile-plugin.ts';
import { suiteFilter } from '../support/suite-filter.ts';

/**
 * Callers of one service whose hosts fail in every way: one with the suite, and one peer whose hosts native
 * `outlier_detection` judges, both in one Envoy.
 */
export const PORT = 15001;
const PEER_PORT = 15002;
export const BACK = { coolDownSeconds: 1, stepSeconds: 1 };

export interface CallerOptions {
  readonly name: string;
  /** Second octet of all addresses. */
  readonly second: number;
  readonly lanes: Readonly<Record<string, number>>;
  readonly lb?: LbPolicy;
  /** Fields of the filter's section. */
  readonly law?: object;
  /** Let the filter find out the hosts by itself. */
  readonly unnamed?: boolean;
  readonly workers?: number;
  /** Failed tries are told, as in a rendered mesh. Default true. */
  readonly tries?: boolean;
}

export interface Caller {
  readonly callee: LaneService;
  readonly proxy: Envoy;
  readonly address: string;
  send(spec?: Parameters<typeof call>[2]): Promise<Answer>;
  sendToPeer(spec?: Parameters<typeof call>[2]): Promise<Answer>;
  metric(name: string): Promise<number>;
}

export async function caller(options: CallerOptions): Promise<Caller> {
  const lb = options.lb ?? { policy: 'round_robin' };
  const callee: LaneService = {
    ...service('reviews', options.second, options.lanes, { lb, intervalMs: 1_000 }),
    healing: true,
  };
  const scheme = laneScheme({ baseline: 'base', lanes: [], steering: [] });
  const address = `127.${options.second}.0.1`;
  const clusters = serviceClusters(callee, scheme);
  const sections = {
    'lane-fallback': { direction: 'outbound', services: [{ name: 'reviews', authorities: ['rig'] }], edges: 'none' },
    'outlier-blacklist': {
      services: [
        {
          name: 'reviews',
          authorities: ['rig'],
          ...('hashHeader' in lb ? { hashHeader: lb.hashHeader } : {}),
          probe: { cluster: 'reviews.lanes', path: '/health' },
          ...(options.unnamed
            ? {}
            : { hosts: callee.instances.map((host) => ({ address: `${host.address}:9080`, lane: host.lane })) }),
        },
      ],
      ...options.law,
    },
  };
  const peerRoute = { match: { prefix: '/' }, route: { cluster: 'peer' } };
  const proxy = await envoy(
    options.name,
    {
      listeners: [
        listener({
          name: 'outbound',
          address,
          port: PORT,
          filters: [await suiteFilter('causeway', 'outbound', sections), fallbackBridge()],
          routes: serviceRoutes(callee, scheme),
          upstreamLog:
            options.tries === false ? [] : [failedTriesLog('outbound', await compilePlugin('filters/suite.ts'))],
        }),
        listener({ name: 'peer', address, port: PEER_PORT, routes: [peerRoute] }),
      ],
      clusters: [...clusters, nativeCluster(clusters)],
    },
    [],
    options.workers ?? 1,
  );
  return {
    callee,
    proxy,
    address,
    send: (spec) => call(address, PORT, spec),
    sendToPeer: (spec) => call(address, PEER_PORT, spec),
    metric: async (name) => {
      const stats = await proxy.admin.stats(`wasmcustom.causeway_outlier_blacklist_${name}`);
      return [...stats.values()].reduce((sum, value) => sum + value, 0);
    },
  };
}

/** The same hosts of the baseline, judged by Envoy with its own defaults: five 5xx in a row, looked at every 10 s. */
function nativeCluster(clusters: readonly Cluster[]): object {
  const baseline = clusters.find(({ name }) => name === 'reviews.baseline') as Cluster;
  const { load_balancing_policy: _policy, ...rest } = baseline;
  return {
    ...rest,
    name: 'peer',
    alt_stat_name: 'peer',
    lb_policy: 'ROUND_ROBIN',
    load_assignment: { ...(rest.load_assignment as LoadAssignment), cluster_name: 'peer' },
    outlier_detection: { max_ejection_percent: 50 },
  };
}

export interface Sent {
  /** Milliseconds since the load began. */
  readonly at: number;
  readonly status: number;
  readonly instance: string;
}

/** An open loop: so many requests a second, whatever becomes of them. */
export class Load {
  readonly sent: Sent[] = [];
  private readonly started = performance.now();
  private due = 0;
  private readonly pending = new Set<Promise<void>>();
  private readonly timer: NodeJS.Timeout;

  constructor(rate: number, send: () => Promise<Answer>) {
    this.timer = setInterval(() => {
      while (this.due <= ((performance.now() - this.started) * rate) / 1000) {
        this.due++;
        const at = this.now();
        const one = send().then(({ status, instance }) => {
          this.sent.push({ at, status, instance });
          this.pending.delete(one);
        });
        this.pending.add(one);
      }
    }, 5);
  }

  now(): number {
    return performance.now() - this.started;
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await Promise.all(this.pending);
  }

  failuresAfter(at: number): Sent[] {
    return this.sent.filter((one) => one.at >= at && one.status !== 200);
  }
}

/** Until each host of the caller's service has answered. */
export async function warm(subject: Caller): Promise<void> {
  const { instances } = subject.callee;
  const lanes = [...new Set(instances.map(({ lane }) => lane))];
  await waitUntil(
    'answers of every host',
    async () => {
      const seen = new Set<string>();
      for (let i = 0; i < 60; i++) {
        const headers = { 'x-asm-traffic-lane': lanes[i % lanes.length] ?? '', 'x-user': `u${i}` };
        seen.add((await subject.send({ headers })).instance);
      }
      return instances.every(({ id }) => seen.has(id)) ? found(undefined) : notYet([...seen].join(', '));
    },
    { deadlineMs: 20_000 },
  );
}
