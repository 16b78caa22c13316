import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../envoy-configs/mesh.ts';
import { published } from '../../envoy-configs/published.ts';
import { renderMesh } from '../../envoy-configs/render.ts';
import type { RenderedNode } from '../../envoy-configs/rendered.ts';
import type { CausewayConfig } from '../../envoy-configs/schema.ts';
import { statsConfig } from '../../envoy-configs/stats.ts';
import { resourcesOf, versionOf } from '../../envoy-configs/xds.ts';
import { ENVOY_REQUEST_HEADERS, INTERNAL_HEADERS } from '../../filters/internal-headers.ts';
import { compare } from '../../harness/apply/changes.ts';
import { planOf } from '../../harness/drivers/driver.ts';
import { exampleMesh, TARGET } from '../support/example-mesh.ts';

const ROOT = new URL('../..', import.meta.url).pathname;
const FILE = join(ROOT, 'envoy-configs/bookinfo/causeway.yaml');
const mesh = (change?: (config: CausewayConfig) => void) => exampleMesh(FILE, change);
const nodes = (change?: (config: CausewayConfig) => void) => renderMesh(mesh(change), TARGET);
function node(id: string, change?: (config: CausewayConfig) => void): RenderedNode {
  const found = nodes(change).find((candidate) => candidate.id === id);
  if (!found) throw new Error(`no node ${id}`);
  return found;
}
const file = (from: RenderedNode, path: string) => resourcesOf(from.files[path] ?? '{"resources":[]}');

/** Chains of a node's listeners as lists of filters, with the role that the connection manager states. */
function chains(from: RenderedNode): { role: string; filters: JsonObject[]; early: unknown }[] {
  return file(from, 'lds/listeners.json').flatMap((listener) =>
    (listener.filter_chains as JsonObject[]).flatMap((chain) =>
      (chain.filters as JsonObject[]).map((filter) => {
        const manager = filter.typed_config as JsonObject;
        return {
          role: String(manager.stat_prefix),
          filters: manager.http_filters as JsonObject[],
          early: manager.early_header_mutation_extensions,
        };
      }),
    ),
  );
}

describe('the timeout of a service', () => {
  const timeouts = (id: string, role: string, change?: (config: CausewayConfig) => void): unknown[] => {
    const routes = file(node(id, change), `rds/${role}.json`).flatMap((one) => one.virtual_hosts as JsonObject[]);
    const actions = routes
      .filter(({ name }) => name !== 'nobody')
      .flatMap((host) => host.routes as JsonObject[])
      .map(({ route }) => route as JsonObject | undefined);
    const bounds = actions.map((action) => [
      action?.timeout,
      (action?.retry_policy as JsonObject | undefined)?.per_try_timeout,
    ]);
    return [...new Set(bounds.map((bound) => bound.join(' ')))].sort();
  };
  const slow = (timeout: string) => (config: CausewayConfig) => {
    for (const service of Object.values(config.services)) service.timeout = timeout;
  };

  it('is 15 s, a third of it for a try that may be repeated', () => {
    expect(timeouts('gateway', 'gateway')).toEqual(['15s ', '15s 5s']);
    expect(timeouts('reviews-base-1', 'inbound')).toEqual(['15s ']);
  });

  it.each([
    ['1m', ['60s ', '60s 20s'], ['60s ']],
    ['0s', ['0s '], ['0s ']],
  ])('of %s holds at the gateway, at callers and before the application', (timeout, called, own) => {
    expect(timeouts('gateway', 'gateway', slow(timeout))).toEqual(called);
    expect(timeouts('reviews-base-1', 'outbound', slow(timeout))).toEqual(called);
    expect(timeouts('reviews-base-1', 'inbound', slow(timeout))).toEqual(own);
  });
});

describe('every chain', () => {
  it('removes internal headers by stock means before the route is chosen, and ends with the router', () => {
    const column = { gateway: 'fromOutside', outbound: 'fromApplication', inbound: 'fromMesh' } as const;
    for (const { role, filters, early } of nodes().flatMap(chains)) {
      expect(filters.at(-1)?.name).toBe(role === 'inbound' ? 'envoy.filters.http.router' : `causeway.router.${role}`);
      const removed = JSON.stringify(early);
      for (const header of INTERNAL_HEADERS) {
        if (header.on === 'request' && header[column[role as keyof typeof column]]) {
          expect(removed, `${role} removes ${header.name}`).toContain(`"remove":"${header.name}"`);
        }
      }
      if (role !== 'inbound') for (const name of ENVOY_REQUEST_HEADERS) expect(removed).toContain(`"${name}"`);
    }
  });

  it('has its wasm filter by ECDS, in a VM of its role that reloads after a trap', () => {
    const sidecar = node('reviews-base-1');
    for (const role of ['inbound', 'outbound']) {
      const [extension = {}] = file(sidecar, `ecds/causeway.${role}.json`);
      const { config } = extension.typed_config as { config: JsonObject };
      expect(config).toMatchObject({ root_id: 'causeway', failure_policy: 'FAIL_RELOAD' });
      expect(config.vm_config).toMatchObject({ vm_id: 'causeway', configuration: { value: role } });
    }
  });
});

describe('what comes from outside', () => {
  it('has no tag unless its address is trusted, by stock means', () => {
    const strips = (from: RenderedNode) =>
      chains(from).map(({ early }) => JSON.stringify(early).includes('"remove":"x-asm-traffic-lane"'));
    expect(strips(node('gateway'))).toEqual([true]);
    const trusting = node('gateway', (config) => {
      Object.assign(config.gateways[0] ?? {}, { trust: { cidrs: ['127.0.9.9/32', 'fd00::/8'] } });
    });
    expect(strips(trusting)).toEqual([false, true]);
    const [listener = {}] = file(trusting, 'lds/listeners.json');
    expect((listener.filter_chains as JsonObject[])[0]?.filter_chain_match).toEqual({
      source_prefix_ranges: [
        { address_prefix: '127.0.9.9', prefix_len: 32 },
        { address_prefix: 'fd00::', prefix_len: 8 },
      ],
    });
    expect(
      strips(node('gateway', (config) => Object.assign(config.gateways[0] ?? {}, { trust: { all: true } }))),
    ).toEqual([false]);
  });

  it('chooses no trace id, and learns no lane unless the gateway exposes it', () => {
    const closed = node('gateway', (config) => Object.assign(config.gateways[0] ?? {}, { exposeLane: false }));
    const text = closed.files['lds/listeners.json'] ?? '';
    expect(text).toContain('"use_remote_address": true');
    expect(text).toContain('"preserve_external_request_id": false');
    const answers = (from: RenderedNode) => JSON.stringify(chains(from)[0]?.filters[0]).split('response_mutations')[1];
    expect(answers(closed)).toContain('x-causeway-served-lane');
    expect(answers(node('gateway'))).not.toContain('x-causeway-served-lane');
    expect(closed.files['rds/gateway.json']).not.toContain('UPSTREAM_METADATA');
  });

  it('names no cluster, and finds no admin interface but a Unix socket', () => {
    for (const { files } of nodes()) {
      const text = Object.values(files).join('\n');
      expect(text).not.toContain('cluster_header');
      expect(text).not.toContain('ORIGINAL_DST');
      const bootstrap = JSON.parse(files['bootstrap.json'] ?? '') as JsonObject;
      expect(bootstrap.admin).toEqual({ address: { pipe: { path: expect.stringMatching(/^\/r\//), mode: 0o600 } } });
    }
  });
});

describe('what may be finished', () => {
  const drains = (drain: string | undefined) =>
    nodes((config) => Object.assign(config, drain === undefined ? {} : { drain })).map(({ args }) => args.at(-1));

  it('is bounded by `drain`, at listeners in whole seconds', () => {
    expect(new Set(drains(undefined))).toEqual(new Set(['3']));
    expect(new Set(drains('1500ms'))).toEqual(new Set(['2']));
    expect(new Set(drains('0ms'))).toEqual(new Set(['1']));
    expect(mesh((config) => Object.assign(config, { drain: '1500ms' })).drainMs).toBe(1_500);
  });
});

describe('a change of lanes', () => {
  const update = (change: (config: CausewayConfig) => void) => {
    const before = mesh();
    const after = mesh(change);
    return compare(planOf(before, renderMesh(before, TARGET)), planOf(after, renderMesh(after, TARGET)));
  };
  const files = (changes: ReturnType<typeof compare>) => [
    ...new Set(changes.updated.flatMap((one) => [...one.files, ...one.dropped].map((path) => path.split('/')[0]))),
  ];

  it('never replaces a listener or a cluster: it works on the next request', () => {
    const lane = update((config) => {
      config.lanes = { ...config.lanes, dev3: {} };
      Object.assign(config.services.reviews?.instances ?? {}, { dev3: { version: 'v3' } });
      config.rules?.push({ name: 'dev3', lane: 'dev3', match: { header: { name: 'a', exact: 'b' } } });
    });
    expect(lane.added.map(({ node: { id } }) => id)).toEqual(['reviews-dev3-1']);
    expect(files(lane).sort()).toEqual(['ecds', 'eds']);
    const faults = update((config) => {
      config.faults = [{ name: 'drill', lane: 'dev1', services: ['reviews'], abort: 503 }];
    });
    expect(files(faults)).toEqual(['rds']);
    expect(faults.updated.map(({ plan }) => plan.app?.service.name)).toEqual(['reviews', 'reviews']);
    for (const name of ['lane-tagging', 'trace-propagation', 'lane-fallback']) {
      expect(files(update((config) => Object.assign(config, { filters: { [name]: { enabled: false } } })))).toEqual([
        'ecds',
      ]);
    }
  });

  it('restarts only what is read at start', () => {
    const changes = update((config) => {
      Object.assign(config.services.reviews?.instances.base ?? {}, { env: { DELAY_MS: '5' } });
    });
    expect(changes.replaced.map(({ node: { id } }) => id)).toEqual(['reviews-base-1']);
    const otherDrain = update((config) => Object.assign(config, { drain: '10s' }));
    expect(otherDrain.replaced.length, 'an Envoy is told at its start').toBe(nodes().length);
    expect(changes.updated).toEqual([]);
  });

  it('is none when nothing changed: versions are made of content', () => {
    const changes = update(() => {});
    expect(changes).toEqual({ added: [], removed: [], replaced: [], updated: [] });
    const [first, second] = [nodes()[0]?.files, nodes()[0]?.files];
    expect(versionOf(first?.['lds/listeners.json'] ?? '')).toBe(versionOf(second?.['lds/listeners.json'] ?? ''));
  });
});

describe('healing', () => {
  it('has failed tries told to the filter, by a router that comes by ECDS: no listener changes with it, nor with the module', () => {
    const heal = (config: CausewayConfig) => Object.assign(config.services.reviews ?? {}, { healing: true });
    const plain = node('gateway');
    for (const [id, role] of [
      ['gateway', 'gateway'],
      ['productpage-base-1', 'outbound'],
    ] as const) {
      const router = (from: RenderedNode) => JSON.stringify(file(from, `ecds/causeway.router.${role}.json`));
      const pushed = (from: RenderedNode) => JSON.stringify(file(from, `ecds/causeway.${role}.json`));
      expect(router(node(id))).not.toContain('upstream_log');
      const healed = node(id, (config) => {
        heal(config);
        config.gateways[0]?.routes.push({ prefix: '/reviews', service: 'reviews' });
      });
      const vm = /"vm_config":\{.*?\}\}(?=,)/.exec(pushed(healed))?.[0] ?? 'none';
      expect(router(healed), 'the VM of the filter').toContain(vm.slice(0, -1));
      expect(healed.files['lds/listeners.json']).toBe(node(id).files['lds/listeners.json']);
    }
    expect(plain.files['lds/listeners.json']).not.toContain(TARGET.wasmPath);
  });

  const healed = (config: Parameters<Parameters<typeof node>[1] & object>[0]) => {
    Object.assign(config.services.reviews ?? {}, { healing: true, lb: { policy: 'ring_hash', hashHeader: 'x-user' } });
  };
  const names = (value: unknown) => JSON.stringify(value).match(/envoy\.load_balancing_policies\.\w+/g);

  it('puts the override before the lanes of that service alone', () => {
    const clusters = file(node('productpage-base-1', healed), 'cds/clusters.json');
    const policies = (name: string) =>
      names(clusters.find((cluster) => cluster.name === name)?.load_balancing_policy ?? {});
    const [override, subset, ring] = ['override_host', 'subset', 'ring_hash'].map(
      (name) => `envoy.load_balancing_policies.${name}`,
    );
    expect(policies('reviews.lanes')).toEqual([override, subset, ring]);
    expect(policies('reviews.baseline')).toEqual([override, ring]);
    expect(policies('details.lanes')).toBeNull();
  });

  it('tells every caller the hosts and their lanes, and nobody else', () => {
    const section = (id: string, role: string) => {
      const [extension] = file(node(id, healed), `ecds/causeway.${role}.json`);
      const { value } = (extension as { typed_config: { config: { configuration: { value: string } } } }).typed_config
        .config.configuration;
      return (JSON.parse(value) as Record<string, { services: { name: string; hosts: object[] }[] }>)[
        'outlier-blacklist'
      ];
    };
    const [reviews, ...others] = section('productpage-base-1', 'outbound')?.services ?? [];
    expect(others).toEqual([]);
    expect(reviews).toMatchObject({ name: 'reviews', hashHeader: 'x-user', probe: { cluster: 'reviews.lanes' } });
    expect(reviews?.hosts).toContainEqual({ address: '127.0.3.1:9080', lane: 'base' });
    expect(section('reviews-base-1', 'outbound')).toBeUndefined();
    expect(section('productpage-base-1', 'inbound')).toBeUndefined();
  });
});

describe('a filter that is off', () => {
  it('leaves its place with nothing in it when the role has no other', () => {
    const off = { enabled: false };
    const sidecar = node('reviews-base-1', (config) => {
      config.filters = { 'lane-tagging': off, 'trace-propagation': off, 'lane-fallback': off };
    });
    const [extension = {}] = file(sidecar, 'ecds/causeway.outbound.json');
    expect(JSON.stringify(extension.typed_config)).toContain('header_mutation');
    expect(sidecar.files['lds/listeners.json']).toBe(node('reviews-base-1').files['lds/listeners.json']);
  });
});

describe('names of metrics', () => {
  /** Envoy's own way with `stats_tags`: group 1 is cut out, group 2 is the value. */
  function extract(name: string): { name: string; tags: Record<string, string> } {
    const tags: Record<string, string> = {};
    let rest = name;
    for (const { tag_name, regex } of statsConfig().stats_tags as { tag_name: string; regex: string }[]) {
      const match = new RegExp(regex).exec(name);
      if (!match?.[1] || match[2] === undefined) continue;
      tags[tag_name] = match[2];
      rest = rest.replace(match[1], '');
    }
    return { name: rest, tags };
  }

  it('become labels, also with dots in a lane', () => {
    expect(
      extract('wasmcustom.causeway_lane_fallback_requests_total.wanted.dev.1.served.base.service.reviews'),
    ).toEqual({
      name: 'wasmcustom.causeway_lane_fallback_requests_total',
      tags: { wanted: 'dev.1', served: 'base', service: 'reviews' },
    });
    expect(extract('wasmcustom.causeway_trace_propagation_leaked_total.reason.no_id').tags).toEqual({
      reason: 'no_id',
    });
    expect(extract('cluster.reviews_lanes.upstream_rq_total').tags).toEqual({});
  });
});

describe('files that are published', () => {
  it.each(published(ROOT).map(({ path, text }) => [path, text] as const))('%s is current', (path, text) => {
    const found = existsSync(join(ROOT, path)) ? readFileSync(join(ROOT, path), 'utf8') : '';
    expect(found, `${path} is stale: run make generate`).toBe(text);
  });
});
