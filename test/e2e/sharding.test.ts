import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LaneService, laneScheme, serviceClusters } from '../../envoy-configs/clusters.ts';
import { fallbackBridge, serviceRoutes } from '../../envoy-configs/lane-routing.ts';
import type { Envoy } from '../../harness/envoy/launcher.ts';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';
import { Backends } from '../bench/fallback-retry/backends.ts';
import { type Bootstrap, call, envoy, listener, service } from '../bench/fallback-retry/rig.ts';
import { fallbackFilter } from '../bench/fallback-retry/wasm.ts';

/**
 * Node sharding: 40 instances, 8 callers, 4 shards. Each caller is a listener with clusters of its own in one Envoy, so
 * that its connections are counted apart; the instances live in one process.
 */

const INSTANCES = 40;
const CALLERS = 8;
const SHARDS = 4;
const REQUESTS = 400;
const ADDRESS = '127.83.0.1';
const PORT = 15001;
const TAG = 'x-asm-traffic-lane';
const scheme = laneScheme({ baseline: 'base', lanes: [], steering: [] });
const instances = service('ratings', 83, { base: INSTANCES, dev1: 1 }, { shards: SHARDS }).instances;

/** The service as one caller knows it. */
function ratings(caller: number, sharded: boolean): LaneService {
  const name = `${sharded ? 'sharded' : 'whole'}${caller}`;
  return service(name, 83, { base: INSTANCES, dev1: 1 }, { shards: SHARDS, intervalMs: 60_000 });
}

const port = (caller: number, sharded: boolean): number => PORT + caller + (sharded ? 0 : 100);

async function bootstrap(): Promise<Bootstrap> {
  const listeners: object[] = [];
  const clusters: object[] = [];
  for (const sharded of [true, false]) {
    for (let caller = 0; caller < CALLERS; caller++) {
      const callee = ratings(caller, sharded);
      const services = [{ name: 'ratings', authorities: ['ratings:9080'], shards: sharded ? SHARDS : 0 }];
      const number = sharded && caller === 0 ? { shardProperty: 'xds.node.metadata.number' } : { shard: caller };
      listeners.push(
        listener({
          name: callee.name,
          address: ADDRESS,
          port: port(caller, sharded),
          filters: [await fallbackFilter({ services, ...number }), fallbackBridge()],
          routes: serviceRoutes(callee, scheme),
        }),
      );
      clusters.push(...serviceClusters(callee, scheme));
    }
  }
  return { listeners, clusters, node: { metadata: { number: 8 } } };
}

let backends: Backends;
let proxy: Envoy;

beforeAll(async () => {
  backends = await Backends.start(instances, 'http1');
  proxy = await envoy('sharding', await bootstrap());
}, 180_000);

afterAll(async () => {
  await proxy?.stop();
  await backends?.stop();
});

const shardOf = (id: string): number => Number(id.replace(/^.*-/, '')) % SHARDS;

function send(caller: number, sharded: boolean, headers: Record<string, string> = {}): Promise<string> {
  return call(ADDRESS, port(caller, sharded), { host: 'ratings:9080', headers }).then(({ status, instance, body }) => {
    if (status !== 200) throw new Error(`caller ${caller}: ${status} ${body}`);
    return instance;
  });
}

/** Requests by instance after every caller has sent its load. */
async function load(sharded: boolean): Promise<Map<string, number>> {
  const seen = new Map<string, number>();
  const callers = Array.from({ length: CALLERS }, async (_, caller) => {
    for (let n = 0; n < REQUESTS; n++) {
      const id = await send(caller, sharded);
      if (sharded) expect(shardOf(id), `caller ${caller} to ${id}`).toBe(caller % SHARDS);
      seen.set(id, (seen.get(id) ?? 0) + 1);
    }
  });
  await Promise.all(callers);
  return seen;
}

async function connections(sharded: boolean): Promise<number[]> {
  const stats = await proxy.admin.stats('upstream_cx_active');
  return Array.from({ length: CALLERS }, (_, caller) => {
    const name = ratings(caller, sharded).name;
    return (
      (stats.get(`cluster.${name}_lanes.upstream_cx_active`) ?? 0) +
      (stats.get(`cluster.${name}_baseline.upstream_cx_active`) ?? 0)
    );
  });
}

describe('40 instances and 8 callers', () => {
  it('need a connection for each shard’s instance alone, under an even load', async () => {
    await waitUntil('the instances answer', async () => ((await send(1, true)) ? found(undefined) : notYet('')), {
      deadlineMs: 20_000,
    });
    const whole = await load(false);
    const sharded = await load(true);
    const wholeConnections = await connections(false);
    const shardedConnections = await connections(true);
    expect(wholeConnections).toEqual(Array(CALLERS).fill(INSTANCES));
    expect(shardedConnections).toEqual(Array(CALLERS).fill(INSTANCES / SHARDS));
    const even = (CALLERS * REQUESTS) / INSTANCES;
    for (const [name, seen] of Object.entries({ whole, sharded })) {
      expect(seen.size, name).toBe(INSTANCES);
      for (const [id, count] of seen) expect(Math.abs(count - even) / even, `${name} ${id}`).toBeLessThanOrEqual(0.1);
    }
  }, 120_000);

  it('fall back from an empty shard to the lane, and from the lane to the caller’s shard of the baseline', async () => {
    // dev1 has one instance, in shard 0: callers of other shards find it in the lane as a whole.
    for (let caller = 0; caller < CALLERS; caller++) expect(await send(caller, true, { [TAG]: 'dev1' })).toBe('dev1-0');
    for (let caller = 0; caller < CALLERS; caller++) {
      expect(shardOf(await send(caller, true, { [TAG]: 'nowhere' })), `caller ${caller}`).toBe(caller % SHARDS);
    }
  });
});
