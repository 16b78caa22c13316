import { describe, expect, it } from 'vitest';
import { rateLimitDescriptors } from '../../envoy-configs/cluster-limits.ts';
import type { JsonObject, Mesh } from '../../envoy-configs/mesh.ts';
import { renderMesh } from '../../envoy-configs/render.ts';
import type { RenderedNode } from '../../envoy-configs/rendered.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import { PATHS, resourcesOf } from '../../envoy-configs/xds.ts';
import { parseConfig } from '../../harness/config/load.ts';

/** What `services.<name>.limits` renders to. */

const TARGET = {
  wasmPath: '/w/causeway.wasm',
  nodeDir: (id: string) => `/n/${id}`,
  adminSocket: (id: string) => `/r/${id}.sock`,
  accessLog: (id: string) => `/l/${id}.log`,
};

function meshOf(shop: string, rest: string): Mesh {
  const yaml = `mesh: limits
gateways: [{ name: edge, routes: [{ prefix: /, service: web }] }]
services:
  web: { calls: [shop], instances: { base: {} } }
  shop:
    interfaces: [{ name: pay, methods: [POST], prefix: /pay }, { name: item, template: '/items/{id}' }]
    instances: { base: {} }
${shop}
${rest}`;
  return resolveMesh(parseConfig(yaml, 'causeway.yaml'));
}

const nodes = (shop: string, rest = ''): readonly RenderedNode[] => renderMesh(meshOf(shop, rest), TARGET);

const LIMITED = '    limits: { perSecond: 100, interfaces: { pay: 20 } }';

function node(all: readonly RenderedNode[], id: string): RenderedNode {
  const found = all.find((candidate) => candidate.id === id);
  if (found === undefined) throw new Error(`no node ${id}`);
  return found;
}

/** The plugin's sections in one place. */
function sections(all: readonly RenderedNode[], id: string, role: string): Record<string, JsonObject> {
  const [extension] = resourcesOf(node(all, id).files[PATHS.extension(`causeway.${role}`)] ?? '{"resources":[]}');
  const typed = extension?.typed_config as { config?: { configuration: { value: string } } } | undefined;
  return JSON.parse(typed?.config?.configuration.value ?? '{}') as Record<string, JsonObject>;
}

describe('limits', () => {
  it('are a section of the instances of that service, and of nobody else', () => {
    const all = nodes(LIMITED);
    expect(sections(all, 'shop-base-1', 'inbound')['adaptive-rate-limit']).toEqual({
      perSecond: 100,
      interfaces: [
        { name: 'pay', template: '/pay**', methods: ['POST'], perSecond: 20 },
        { name: 'item', template: '/items/{id}' },
      ],
    });
    expect(sections(all, 'web-base-1', 'inbound')).not.toHaveProperty('adaptive-rate-limit');
    for (const role of ['outbound', 'gateway']) {
      expect(JSON.stringify(all.map(({ id }) => sections(all, id, role)))).not.toContain('adaptive-rate-limit');
    }
  });

  it('ask for interfaces only where they are needed', () => {
    const section = (limits: string) =>
      sections(nodes(`    limits: ${limits}`), 'shop-base-1', 'inbound')['adaptive-rate-limit'];
    expect(section('{ perSecond: 5 }')).toEqual({ perSecond: 5 });
    expect(section('{ adaptive: {} }')?.interfaces).toHaveLength(2);
  });

  it('believe the reports that `overload` names, unless they name others', () => {
    const section = (limits: string) =>
      sections(
        nodes(`    overload: { queueTime: orca, orcaMetric: q, targetMs: 20 }\n    limits: ${limits}`),
        'shop-base-1',
        'inbound',
      )['adaptive-rate-limit'];
    expect(section('{ perSecond: 5 }')).toEqual({ perSecond: 5, queueTime: 'orca', orcaMetric: 'q' });
    expect(section('{ perSecond: 5, orcaMetric: other }')).toMatchObject({ queueTime: 'orca', orcaMetric: 'other' });
  });

  it('are switched off as every filter is, and then leave nothing', () => {
    const off = nodes(LIMITED, 'filters: { adaptive-rate-limit: { enabled: false } }');
    expect(sections(off, 'shop-base-1', 'inbound')).not.toHaveProperty('adaptive-rate-limit');
  });

  it('change at run time: nothing but the plugin’s configuration differs', () => {
    const before = node(nodes(LIMITED), 'shop-base-1');
    const after = node(nodes(LIMITED.replace('100', '200')), 'shop-base-1');
    const changed = Object.keys(before.files).filter((path) => before.files[path] !== after.files[path]);
    expect(changed).toEqual([PATHS.extension('causeway.inbound')]);
  });

  it('make callers tell classes by the priorities, without believing thresholds', () => {
    const priorities = 'priorities: [{ class: 9, match: { header: { name: x-load-test, present: true } } }]';
    for (const [id, role] of [
      ['edge', 'gateway'],
      ['web-base-1', 'outbound'],
    ] as const) {
      expect(sections(nodes(LIMITED, priorities), id, role)['overload-shedding']).toMatchObject({
        classes: [{ class: 9 }],
        services: [],
      });
      expect(sections(nodes(LIMITED), id, role)).not.toHaveProperty('overload-shedding');
      expect(sections(nodes('', priorities), id, role)).not.toHaveProperty('overload-shedding');
    }
  });

  it('are no reason to take an instance out: checks pass, and refusals are no faults', () => {
    const clusters = node(nodes(LIMITED), 'web-base-1').files[PATHS.clusters] ?? '';
    const shop = resourcesOf(clusters).filter(({ name }) => String(name).startsWith('shop.'));
    const checks = shop.flatMap(({ health_checks }) => (health_checks as JsonObject[] | undefined) ?? []);
    expect(checks.length).toBeGreaterThan(0);
    for (const check of checks) expect(JSON.stringify(check)).toContain('"x-causeway-class","value":"0"');
    expect(JSON.stringify(shop)).toContain('x-envoy-ratelimited');
    expect(node(nodes(''), 'web-base-1').files[PATHS.clusters]).not.toContain('x-envoy-ratelimited');
  });
});

describe('limits that all instances share', () => {
  const SHARED = `    limits:
      cluster:
        - { name: all, requests: 1000 }
        - { name: paying, interface: pay, by: { header: X-User }, requests: 60, unit: minute }`;
  const SERVICE = 'ratelimit: { address: 127.0.0.9, timeout: 20ms }';
  const RATE_LIMIT = PATHS.extension('causeway.ratelimit');

  it('are told to the service as descriptors', () => {
    expect(rateLimitDescriptors(meshOf(SHARED, SERVICE))).toEqual({
      domain: 'causeway.limits',
      descriptors: [
        { key: 'limit', value: 'shop/all', rate_limit: { unit: 'second', requests_per_unit: 1000 } },
        {
          key: 'limit',
          value: 'shop/paying',
          descriptors: [
            {
              key: 'interface',
              value: 'pay',
              descriptors: [{ key: 'value', rate_limit: { unit: 'minute', requests_per_unit: 60 } }],
            },
          ],
        },
      ],
    });
  });

  it('are asked for by the stock filter of those instances, in the same words', () => {
    const all = nodes(SHARED, SERVICE);
    const shop = node(all, 'shop-base-1');
    expect(shop.files[RATE_LIMIT]).toContain('"domain": "causeway.limits"');
    const routes = shop.files[PATHS.routes('inbound')] ?? '';
    for (const text of ['shop/all', 'shop/paying', '"header_name": "x-user"', 'request.method in [\\"POST\\"]'])
      expect(routes).toContain(text);
    const web = node(all, 'web-base-1');
    expect(web.files[RATE_LIMIT]).toContain('HeaderMutation');
    expect(web.files[PATHS.routes('inbound')]).not.toContain('rate_limits');
    expect(sections(all, 'shop-base-1', 'inbound'), 'no limits of the instance').not.toHaveProperty(
      'adaptive-rate-limit',
    );
  });

  it('come and go without a new listener, and leave nothing in a mesh without the service', () => {
    const off = 'filters: { adaptive-rate-limit: { enabled: false } }';
    for (const [shop, rest] of [
      ['', SERVICE],
      [SHARED, `${SERVICE}\n${off}`],
    ] as const) {
      const before = node(nodes(SHARED, SERVICE), 'shop-base-1');
      const after = node(nodes(shop, rest), 'shop-base-1');
      expect(after.files[PATHS.listeners]).toBe(before.files[PATHS.listeners]);
      expect(after.files[RATE_LIMIT]).toContain('HeaderMutation');
      expect(after.files[PATHS.routes('inbound')]).not.toContain('rate_limits');
    }
    expect(JSON.stringify(nodes(''))).not.toContain('ratelimit');
  });
});
