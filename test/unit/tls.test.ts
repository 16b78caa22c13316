import { describe, expect, it } from 'vitest';
import type { Mesh } from '../../envoy-configs/mesh.ts';
import { renderMesh } from '../../envoy-configs/render.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import { resourcesOf } from '../../envoy-configs/xds.ts';
import { risingServices, tlsSteps } from '../../harness/apply/tls-steps.ts';
import { setTls } from '../../harness/config/edit-tls.ts';
import { parseConfig } from '../../harness/config/load.ts';

const BASE = `mesh: m
tls: {}
gateways: [{ name: gateway, routes: [{ prefix: /, service: front }, { prefix: /api/, service: back }] }]
services:
  front: { calls: [back], instances: { base: {} } } # the entrance
  back: { instances: { base: { replicas: 4 }, dev1: {} }, shards: 2 }
lanes: { dev1: {} }
redirects: [{ name: away, service: back, from: [dev1], to: base }]
`;

const resolved = (text: string): Mesh => resolveMesh(parseConfig(text, 'causeway.yaml'));
const stateOf = (mesh: Mesh, name = 'back') => mesh.services.find((service) => service.name === name)?.tls;

/** A node's resources by their names, as JSON that can be walked. */
// biome-ignore lint/suspicious/noExplicitAny: Envoy's configurations
function resources(text: string, id: string, path: string): Record<string, any> {
  const target = {
    wasmPath: '/w/causeway.wasm',
    nodeDir: (node: string) => `/n/${node}`,
    adminSocket: (node: string) => `/s/${node}`,
    accessLog: (node: string) => `/l/${node}`,
  };
  const node = renderMesh(resolved(text), target).find((one) => one.id === id);
  return Object.fromEntries(
    resourcesOf(node?.files[path] ?? '').map((one) => [String(one.name ?? one.cluster_name), one]),
  );
}

describe('rendering', () => {
  it('gives each service TLS clusters beside its plain ones, for the same lanes', () => {
    const clusters = resources(BASE, 'front-base-1', 'cds/clusters.json');
    const names = Object.keys(clusters).filter((name) => name.startsWith('back'));
    expect(names.sort()).toEqual([
      'back',
      'back.baseline',
      'back.lanes',
      'back.tls',
      'back.tls.baseline',
      'back.tls.lanes',
    ]);
    expect(clusters['back.lanes'].transport_socket).toBeUndefined();
    const socket = clusters['back.tls.lanes'].transport_socket.typed_config;
    expect(socket.sni).toBe('back');
    const validation = socket.common_tls_context.combined_validation_context;
    expect(validation.default_validation_context.match_typed_subject_alt_names).toEqual([
      { san_type: 'URI', matcher: { exact: 'spiffe://m/back' } },
    ]);
    expect(validation.validation_context_sds_secret_config.sds_config.path_config_source).toEqual({
      path: '/n/front-base-1/secrets/roots.json',
      watched_directory: { path: '/n/front-base-1/secrets' },
    });
    expect(clusters['back.tls'].transport_socket, 'a composite has no connections').toBeUndefined();
    expect(clusters['back.tls.lanes'].lb_subset_config).toEqual(clusters['back.lanes'].lb_subset_config);
  });

  it('leads there by the exact token alone, and takes it off; no header names a cluster', () => {
    for (const [id, path] of [
      ['front-base-1', 'rds/outbound.json'],
      ['gateway', 'rds/gateway.json'],
    ] as const) {
      const [routes] = Object.values(resources(BASE, id, path));
      const text = JSON.stringify(routes);
      expect(text).not.toContain('cluster_header');
      // biome-ignore lint/suspicious/noExplicitAny: Envoy's configurations
      const all: any[] = routes.virtual_hosts.flatMap((host: any) => host.routes).filter((route: any) => route.route);
      for (const { match, route, request_headers_to_remove: removed } of all) {
        const token = match.headers.find(({ name }: { name: string }) => name === 'x-causeway-tls');
        const tls = /^(front|back)\.tls/.test(route.cluster);
        expect(token?.string_match?.exact, route.cluster).toBe(tls ? '1' : undefined);
        expect(removed?.includes('x-causeway-tls') ?? false).toBe(tls);
      }
      expect(all.filter(({ route }) => route.cluster.includes('.tls')).length * 2).toBe(all.length);
    }
  });

  it('sends nothing in plaintext to a service that is on: no health check, no redirect', () => {
    const checks = (text: string, cluster: string) =>
      resources(text, 'front-base-1', 'cds/clusters.json')[cluster].health_checks?.length ?? 0;
    const on = setTls(BASE, 'back', 'on');
    expect(
      ['back.lanes', 'back.baseline', 'back.tls.lanes', 'back.tls.baseline'].map((one) => checks(BASE, one)),
    ).toEqual([1, 1, 1, 1]);
    expect(
      ['back.lanes', 'back.baseline', 'back.tls.lanes', 'back.tls.baseline'].map((one) => checks(on, one)),
    ).toEqual([0, 0, 1, 1]);
    const redirect = (text: string) =>
      resources(text, 'back-dev1-1', 'rds/inbound.json').inbound.virtual_hosts[0].routes[0].route.cluster;
    expect([redirect(BASE), redirect(on)]).toEqual(['back.unit.base', 'back.tls.unit.base']);
  });

  it('changes filters alone between off, canary and on, but for the plain clusters’ health checks', () => {
    const differing = (one: string, other: string) =>
      ['cds/clusters.json', 'rds/outbound.json', 'lds/listeners.json', 'ecds/causeway.outbound.json'].filter(
        (path) =>
          JSON.stringify(resources(one, 'front-base-1', path)) !==
          JSON.stringify(resources(other, 'front-base-1', path)),
      );
    const canary = setTls(BASE, 'back', 'canary', 20);
    expect(differing(BASE, canary)).toEqual(['ecds/causeway.outbound.json']);
    expect(differing(canary, setTls(BASE, 'back', 'on'))).toEqual(['cds/clusters.json', 'ecds/causeway.outbound.json']);
  });

  it('publishes who is ready, and keeps the others out of the TLS clusters', () => {
    const text = BASE.replace('dev1: {}', 'dev1: { tls: false }');
    const endpoints = (path: string) =>
      (
        Object.values(resources(text, 'front-base-1', path))[0].endpoints[0].lb_endpoints as {
          metadata: { filter_metadata: { causeway: { instance: string; tls: string } } };
        }[]
      ).map(({ metadata }) => `${metadata.filter_metadata.causeway.instance} ${metadata.filter_metadata.causeway.tls}`);
    expect(endpoints('eds/back.lanes.json')).toContain('back-dev1-1 absent');
    expect(endpoints('eds/back.lanes.json')).toContain('back-base-1 ready');
    expect(endpoints('eds/back.tls.lanes.json').join()).not.toContain('dev1');
    const [listener] = Object.values(resources(text, 'back-dev1-1', 'lds/listeners.json'));
    expect(listener.listener_filters).toBeUndefined();
  });

  it('with one pool makes a canary of whole instances, and puts the filter where the route looks for it', () => {
    const text = setTls(BASE, 'back', 'canary', 50).replace('mode: canary', 'pools: one, mode: canary');
    const wanted = Object.values(
      resources(text, 'front-base-1', 'eds/back.lanes.json'),
    )[0].endpoints[0].lb_endpoints.map(
      // biome-ignore lint/suspicious/noExplicitAny: Envoy's configurations
      (endpoint: any) => endpoint.metadata.filter_metadata['envoy.transport_socket_match']?.tls,
    );
    expect(wanted).toEqual(['1', '1', '1', undefined, undefined]);
    const clusters = resources(text, 'front-base-1', 'cds/clusters.json');
    for (const name of ['back', 'back.lanes', 'back.baseline']) {
      const [options] = Object.values(clusters[name].typed_extension_protocol_options) as {
        http_filters: { name: string }[];
      }[];
      expect(options?.http_filters.map((filter) => filter.name)).toEqual([
        'causeway.upstream',
        'envoy.filters.http.upstream_codec',
      ]);
    }
    expect(clusters['back.tls']).toBeUndefined();
  });
});

describe('what cannot be meant is refused by its place', () => {
  const problem = (change: (text: string) => string): string => {
    try {
      parseConfig(change(BASE), 'causeway.yaml');
    } catch (error) {
      return (error as Error).message;
    }
    return 'accepted';
  };
  const back = (fields: string) => (text: string) => text.replace('shards: 2 }', `shards: 2, ${fields} }`);

  it.each([
    [
      'a state without certificates',
      (text: string) => back('tls: { mode: on }')(text).replace('tls: {}\n', ''),
      /services\.back\.tls/,
    ],
    ['a canary without its share', back('tls: { mode: canary }'), /canary without `percent`/],
    ['a share of something else', back('tls: { mode: on, percent: 5 }'), /percent 5 at mode on/],
    ['one pool over HTTP/2', back('protocol: http2, tls: { mode: on, pools: one }'), /one pool for http2/],
    [
      'plaintext refused while it is sent',
      back('tls: { mode: canary, percent: 5, plaintext: refuse }'),
      /refuse at mode canary/,
    ],
    ['callers without identity', back('callers: [front]'), /mutual TLS that is on/],
    ['a caller that does not exist', back('tls: { mode: on }, callers: [nobody]'), /unknown caller "nobody"/],
    [
      'a lane that TLS would lose',
      (text: string) => back('tls: { mode: on }')(text).replace('dev1: {}', 'dev1: { tls: false }'),
      /not ready for TLS at mode on/,
    ],
  ])('%s', (_what, change, expected) => {
    expect(problem(change)).toMatch(expected);
    expect(problem(change)).toMatch(/causeway\.yaml:\d+/);
  });

  it('while what is meant passes', () => {
    expect(problem(back('tls: { mode: on, plaintext: refuse }, callers: [front, gateway]'))).toBe('accepted');
  });
});

describe('the way from one state to another', () => {
  const off = resolved(BASE);
  const on = resolved(setTls(BASE, 'back', 'on'));
  const none = resolved(BASE.replace('tls: {}\n', ''));
  const strict = resolved(
    setTls(BASE, 'back', 'on')
      .replace('mode: on', 'mode: on, plaintext: refuse')
      .replace('shards: 2', 'shards: 2, callers: [front]'),
  );
  const way = (before: Mesh, after: Mesh) =>
    tlsSteps(before, after).map((mesh) => {
      const state = stateOf(mesh);
      const callers = mesh.services.find(({ name }) => name === 'back')?.callers ? ' callers' : '';
      return state
        ? `${state.mode}${state.plainChecks ? ' checks' : ''}${state.acceptsPlain ? '' : ' refuses'}${callers}`
        : 'none';
    });

  it('changes the calls when everybody can do both, and takes things away afterwards', () => {
    expect(way(off, on)).toEqual(['on checks', 'on']);
    expect(way(on, off)).toEqual(['on checks', 'off checks', 'off checks']);
    expect(way(none, on)).toEqual(['off checks', 'on checks', 'on']);
    expect(way(on, none)).toEqual(['on checks', 'off checks', 'none']);
    expect(way(off, strict)).toEqual(['on checks', 'on refuses callers']);
    expect(way(none, strict)).toEqual(['off checks', 'on checks', 'on refuses callers']);
    expect(way(strict, off)).toEqual(['on checks', 'off checks', 'off checks']);
    expect(way(none, none)).toEqual(['none']);
  });

  it('knows where more calls will go by TLS, to try the way first', () => {
    const canary = resolved(setTls(BASE, 'back', 'canary', 10));
    expect(risingServices(off, canary)).toEqual(['back']);
    expect(risingServices(canary, on)).toEqual(['back']);
    expect(risingServices(on, canary)).toEqual([]);
    expect(risingServices(none, off)).toEqual([]);
  });

  it('does not lead from two pools to one while calls go by TLS', () => {
    const one = resolved(setTls(BASE, 'back', 'on').replace('mode: on', 'mode: on, pools: one'));
    expect(() => tlsSteps(on, one)).toThrow(/services\.back\.tls\.pools: found one/);
  });
});

describe('the edit', () => {
  it('changes the state and nothing else, and brings the certificates with the first state', () => {
    const plain = BASE.replace('tls: {}\n', '');
    const text = setTls(setTls(plain, 'back', 'canary', 12.5), 'back', 'on');
    expect(text).toContain('# the entrance');
    expect(text).toContain('tls: { mode: on }');
    expect(text).toContain('\ntls: {}\n');
    expect(setTls(plain, 'back', 'canary', 12.5)).toContain('percent: 12.5');
    expect(() => setTls(BASE, 'nobody', 'on')).toThrow(/no service nobody; there are: front, back/);
  });
});
