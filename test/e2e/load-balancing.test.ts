import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LaneService, laneScheme, serviceClusters } from '../../envoy-configs/clusters.ts';
import { fallbackBridge, serviceRoutes } from '../../envoy-configs/lane-routing.ts';
import type { LbPolicy } from '../../envoy-configs/mesh.ts';
import type { Envoy } from '../../harness/envoy/launcher.ts';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';
import { Backends } from '../bench/fallback-retry/backends.ts';
import { type Bootstrap, call, envoy, listener, service } from '../bench/fallback-retry/rig.ts';
import { fallbackFilter } from '../bench/fallback-retry/wasm.ts';

/**
 * Load balancing inside a lane, with the suite (wasm filter, bridge, composite of subset clusters) beside a plain cluster
 * of the same hosts: the same distribution, the same host for the same key.
 */

const ADDRESS = '127.82.0.1';
const TAG = 'x-asm-traffic-lane';
const USER = 'x-user';
const LANE_HOSTS = { dev1: 4, base: 3 };
const POLICIES: Readonly<Record<string, LbPolicy>> = {
  weighted: { policy: 'round_robin' },
  least: { policy: 'least_request' },
  ring: { policy: 'ring_hash', hashHeader: USER },
  maglev: { policy: 'maglev', hashHeader: USER },
};
const NAMES = Object.keys(POLICIES);
const SUITE_PORT = 15001;
const PLAIN_PORT = 15101;
const scheme = laneScheme({ baseline: 'base', lanes: [], steering: [] });

function serviceOf(name: string): LaneService {
  const lb = POLICIES[name];
  if (lb === undefined) throw new Error(`no policy ${name}`);
  const weights = name === 'weighted' ? { dev1: [1, 2, 3, 4] } : {};
  return service(name, 82, LANE_HOSTS, { lb, weights, intervalMs: 2_000 });
}

/** The same hosts without lanes: what the service would be without the suite. */
function plainCluster(name: string): object {
  const lanes = serviceClusters(serviceOf(name), scheme).find((cluster) => cluster.name === `${name}.lanes`);
  const { lb_subset_config: _subset, ...rest } = lanes as Record<string, unknown>;
  const assignment = rest.load_assignment as { endpoints: { lb_endpoints: { metadata: unknown }[] }[] };
  const hosts = assignment.endpoints[0]?.lb_endpoints.filter((host) => JSON.stringify(host.metadata).includes('dev1'));
  const plain = `${name}-plain`;
  return {
    ...rest,
    name: plain,
    alt_stat_name: plain,
    load_assignment: { cluster_name: plain, endpoints: [{ lb_endpoints: hosts }] },
  };
}

function plainRoute(name: string): object {
  const lb = POLICIES[name];
  const hash = lb && 'hashHeader' in lb ? { hash_policy: [{ header: { header_name: lb.hashHeader } }] } : {};
  return { match: { prefix: '/' }, route: { cluster: `${name}-plain`, ...hash } };
}

async function bootstrap(): Promise<Bootstrap> {
  const filters = [await fallbackFilter({ lanes: [{ name: 'dev1' }] }), fallbackBridge()];
  return {
    listeners: NAMES.flatMap((name, index) => [
      listener({
        name: `${name}-suite`,
        address: ADDRESS,
        port: SUITE_PORT + index,
        filters,
        routes: serviceRoutes(serviceOf(name), scheme),
      }),
      listener({ name: `${name}-plain`, address: ADDRESS, port: PLAIN_PORT + index, routes: [plainRoute(name)] }),
    ]),
    clusters: NAMES.flatMap((name) => [...serviceClusters(serviceOf(name), scheme), plainCluster(name)]),
  };
}

let backends: Backends;
let proxy: Envoy;

beforeAll(async () => {
  backends = await Backends.start(serviceOf('weighted').instances, 'http1');
  proxy = await envoy('load-balancing', await bootstrap());
  for (const name of NAMES) await settled(name);
}, 120_000);

afterAll(async () => {
  await proxy?.stop();
  await backends?.stop();
});

type Side = 'suite' | 'plain';

async function send(name: string, side: Side, user = ''): Promise<string> {
  const port = (side === 'suite' ? SUITE_PORT : PLAIN_PORT) + NAMES.indexOf(name);
  const headers = { [TAG]: 'dev1', ...(user === '' ? {} : { [USER]: user }) };
  const answer = await call(ADDRESS, port, { headers });
  if (answer.status !== 200) throw new Error(`${name} ${side}: status ${answer.status} ${answer.body}`);
  return answer.instance;
}

/** Until every host of the lane has answered through the suite. */
async function settled(name: string): Promise<void> {
  const seen = new Set<string>();
  let user = 0;
  await waitUntil(
    `${name}: all hosts of the lane`,
    async () => {
      seen.add(await send(name, 'suite', `settle-${user++}`).catch(() => ''));
      return [...seen].filter((id) => id.startsWith('dev1-')).length === LANE_HOSTS.dev1
        ? found(undefined)
        : notYet([...seen].join());
    },
    { deadlineMs: 30_000, intervalMs: 1 },
  );
}

/** How often each instance answered `count` requests, `parallel` at a time. */
async function shares(name: string, side: Side, count: number, parallel: number): Promise<Record<string, number>> {
  const seen: Record<string, number> = {};
  let left = count;
  const worker = async (): Promise<void> => {
    while (left-- > 0) {
      const id = await send(name, side);
      seen[id] = (seen[id] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  return seen;
}

/** Which instance answers each user, asked twice. */
async function homes(name: string, side: Side, users: number): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (let round = 0; round < 2; round++) {
    for (let n = 0; n < users; n++) {
      const id = await send(name, side, `user-${n}`);
      expect(found.get(`user-${n}`) ?? id, `${name} ${side}: user-${n} stays`).toBe(id);
      found.set(`user-${n}`, id);
    }
  }
  return found;
}

describe('inside a lane', () => {
  it('weighted round robin gives each instance its weight, with the suite as without', async () => {
    for (const side of ['suite', 'plain'] as const) {
      const seen = await shares('weighted', side, 500, 1);
      expect(Object.keys(seen).sort(), side).toEqual(['dev1-0', 'dev1-1', 'dev1-2', 'dev1-3']);
      for (const [n, weight] of [1, 2, 3, 4].entries()) {
        const expected = 500 * (weight / 10);
        expect(Math.abs((seen[`dev1-${n}`] ?? 0) - expected), `${side} dev1-${n}`).toBeLessThanOrEqual(0.05 * 500);
      }
    }
  });

  it('least request spares the slow instance, with the suite as without', async () => {
    await backends.set('dev1-0', 'ok', 60);
    try {
      for (const side of ['suite', 'plain'] as const) {
        const seen = await shares('least', side, 400, 16);
        expect(
          Object.keys(seen).every((id) => id.startsWith('dev1-')),
          side,
        ).toBe(true);
        expect(seen['dev1-0'] ?? 0, `${side}: the slow one`).toBeLessThan(70);
        for (const n of [1, 2, 3]) expect(seen[`dev1-${n}`] ?? 0, `${side} dev1-${n}`).toBeGreaterThan(70);
      }
    } finally {
      await backends.set('dev1-0', 'ok');
    }
  });

  it.each(['ring', 'maglev'])('%s hash keeps every user where a plain cluster has them', async (name) => {
    const suite = await homes(name, 'suite', 200);
    const plain = await homes(name, 'plain', 200);
    expect(Object.fromEntries(suite)).toEqual(Object.fromEntries(plain));
    const counts = new Map<string, number>();
    for (const id of suite.values()) counts.set(id, (counts.get(id) ?? 0) + 1);
    expect([...counts.keys()].sort()).toEqual(['dev1-0', 'dev1-1', 'dev1-2', 'dev1-3']);
    for (const [id, count] of counts) expect(count, id).toBeGreaterThan(20);
  });

  it('a failed instance leaves a hashed lane as it leaves a plain cluster: most users stay', async () => {
    const before = await homes('ring', 'suite', 100);
    const lost = [...before].find(([, id]) => id === 'dev1-1')?.[0] ?? '';
    await backends.set('dev1-1', 'sick');
    for (const side of ['suite', 'plain'] as const) {
      await waitUntil(
        `${side}: dev1-1 is passed over`,
        async () => ((await send('ring', side, lost)) !== 'dev1-1' ? found(undefined) : notYet('still chosen')),
        { deadlineMs: 15_000 },
      );
    }
    const during = await homes('ring', 'suite', 100);
    expect(Object.fromEntries(during)).toEqual(Object.fromEntries(await homes('ring', 'plain', 100)));
    expect([...during.values()].every((id) => /^dev1-[023]$/.test(id))).toBe(true);
    const others = [...before].filter(([, id]) => id !== 'dev1-1');
    const stayed = others.filter(([user, id]) => during.get(user) === id);
    expect(stayed.length).toBeGreaterThan(others.length * 0.6);
    await backends.set('dev1-1', 'ok');
  });
});
