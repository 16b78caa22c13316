import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { allInstances } from '../../envoy-configs/mesh.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import type { CausewayConfig } from '../../envoy-configs/schema.ts';
import { milliseconds } from '../../envoy-configs/schema-parts.ts';
import { ConfigError } from '../../harness/config/errors.ts';
import { loadConfig, loadMesh, MAX_CONFIG_BYTES, parseConfig } from '../../harness/config/load.ts';

const ROOT = new URL('../..', import.meta.url).pathname;
const BOOKINFO = join(ROOT, 'envoy-configs/bookinfo/causeway.yaml');

const VALID = `mesh: shop
gateways:
  - name: gateway
    routes:
      - { prefix: /, service: front }
services:
  front:
    entrance: true
    calls: [back]
    instances:
      base: {}
      dev1: {}
  back:
    interfaces:
      - { name: pay, methods: [POST], prefix: /pay }
    instances:
      base: { replicas: 2 }
lanes:
  dev1: {}
rules:
  - name: dev1
    match: { header: { name: end-user, exact: dev1 } }
    lane: dev1
`;

/** The messages of a configuration's problems; empty when it is accepted. */
function problems(text: string): string[] {
  try {
    parseConfig(text, 'causeway.yaml');
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split('\n');
    throw error;
  }
}

function without(change: (config: CausewayConfig) => void): string[] {
  const config = parse(VALID) as CausewayConfig;
  change(config);
  return problems(stringify(config)).map((line) => line.replace(/^causeway\.yaml:\d+:\d+: /, ''));
}

describe('a configuration that is right', () => {
  it('is accepted, and so is what the repository ships', () => {
    expect(problems(VALID)).toEqual([]);
    expect(allInstances(loadMesh(BOOKINFO)).map(({ id }) => id)).toContain('reviews-dev2-1');
    expect(allInstances(loadMesh(join(ROOT, 'harness/demo/bookinfo.yaml'))).length).toBeGreaterThan(4);
  });

  it('gets its defaults: permissive lanes fall back to the baseline, strict ones to nothing', () => {
    const mesh = resolveMesh(
      parseConfig(VALID.replace('  dev1: {}\nrules', '  dev1: {}\n  gold: { mode: strict }\nrules'), 'x'),
    );
    expect(mesh.lanes).toEqual([
      { name: 'dev1', mode: 'permissive', chain: ['base'] },
      { name: 'gold', mode: 'strict', chain: [] },
    ]);
    expect(mesh.rules[0]).toMatchObject({ at: 'gateway', entrance: 'front' });
    expect(mesh.gateways[0]).toMatchObject({ address: '127.0.0.1', port: 8080, trust: 'none', exposeLane: false });
  });

  it('takes a path prefix for a template with an open end', () => {
    const mesh = resolveMesh(
      parseConfig(VALID.replace('prefix: /pay }', 'prefix: /pay }\n      - { name: one, template: "/p/{id}" }'), 'x'),
    );
    expect(mesh.services[1]?.interfaces).toEqual([
      { name: 'pay', methods: ['POST'], template: '/pay**' },
      { name: 'one', methods: [], template: '/p/{id}' },
    ]);
  });

  it('understands durations', () => {
    expect(['250ms', '2s', '1.5s', '1m'].map(milliseconds)).toEqual([250, 2000, 1500, 60_000]);
  });
});

describe('addresses', () => {
  it('are stable: instances that run keep theirs whatever is added before them or removed', () => {
    const before = resolveMesh(parseConfig(VALID, 'x'));
    const leases = Object.fromEntries(allInstances(before).map(({ id, address }) => [id, address]));
    const config = parse(VALID) as CausewayConfig;
    config.services = {
      new: { instances: { base: {} } },
      ...config.services,
      front: { entrance: true, instances: { early: {}, base: {} } },
    };
    config.lanes = { early: {}, ...config.lanes };
    const after = allInstances(resolveMesh(config, { leases }));
    for (const { id, address } of after) if (leases[id] !== undefined) expect(address).toBe(leases[id]);
    expect(new Set(after.map(({ address }) => address)).size).toBe(after.length);
  });

  it('follow the prefix, for a second mesh on one machine', () => {
    const mesh = resolveMesh(parseConfig(VALID, 'x'), { network: '127.9' });
    expect([mesh.gateways[0]?.address, ...allInstances(mesh).map(({ address }) => address)]).toEqual([
      '127.9.0.1',
      '127.9.1.1',
      '127.9.1.2',
      '127.9.2.1',
      '127.9.2.2',
    ]);
  });
});

describe('a mistake the schema knows', () => {
  it.each<[string, string, string, string]>([
    ['an unknown key', 'entrance: true', 'entrence: true', ':8:5: services.front.entrence: found the unknown key'],
    ['a misspelt key gets a hint', 'entrance: true', 'entrence: true', 'did you mean "entrance"?'],
    [
      'a wrong word',
      '  dev1: {}\nrules',
      '  dev1: { mode: lax }\nrules',
      'lanes.dev1.mode: found "lax", expected one of permissive, strict',
    ],
    [
      'a wrong type',
      'replicas: 2',
      'replicas: two',
      ':17:25: services.back.instances.base.replicas: found "two", expected a whole number',
    ],
    ['out of range', 'replicas: 2', 'replicas: 0', 'services.back.instances.base.replicas: found 0, expected >= 1'],
    ['a missing key', 'mesh: shop\n', '', ':1:1: found no "mesh", expected it to be given'],
    ['a bad name', 'mesh: shop', 'mesh: Shop/1', ':1:7: mesh: found "Shop/1", expected lower case letters'],
    [
      'a bad lane name',
      '  dev1: {}\nrules',
      '  "dev 1": {}\nrules',
      'lanes["dev 1"]: found the name "dev 1", expected a label value',
    ],
    ['a path as a name', '  back:\n', '  "../../etc":\n', 'found the name "../../etc", expected lower case letters'],
    ['a matcher with two keys', 'exact: dev1 } }', 'exact: dev1, prefix: x } }', 'rules[0].match.header'],
    [
      'an unknown matcher',
      '{ header: {',
      '{ heeder: {',
      ':22:14: rules[0].match.heeder: found the unknown key "heeder"',
    ],
  ])('%s', (_name, from, to, expected) => {
    expect(VALID).toContain(from);
    expect(problems(VALID.replace(from, to)).join('\n')).toContain(expected);
  });

  it('does not hide the others', () => {
    const text = VALID.replace('entrance: true', 'entrance: 7').replace('replicas: 2', 'replicas: 0');
    expect(problems(text)).toHaveLength(2);
  });
});

describe('a mistake beyond the schema', () => {
  it.each<[string, (config: CausewayConfig) => void, string]>([
    [
      'an unknown lane in a rule',
      (c) => Object.assign(c.rules?.[0] ?? {}, { lane: 'dev9' }),
      'rules[0].lane: found the unknown lane "dev9"',
    ],
    [
      'an unknown lane of instances',
      (c) => Object.assign(c.services.back?.instances ?? {}, { dev9: {} }),
      'services.back.instances.dev9: found the unknown lane "dev9"',
    ],
    [
      'an unknown lane in a chain',
      (c) => Object.assign(c.lanes ?? {}, { dev1: { chain: ['nope'] } }),
      'lanes.dev1.chain[0]: found the unknown lane "nope"',
    ],
    [
      'a chain back to its lane',
      (c) => Object.assign(c.lanes ?? {}, { dev1: { chain: ['dev1', 'base'] } }),
      'lanes.dev1.chain[0]: found the lane itself',
    ],
    [
      'lanes behind the baseline',
      (c) => Object.assign(c.lanes ?? {}, { a: {}, dev1: { chain: ['base', 'a'] } }),
      'expected the baseline last',
    ],
    ['the baseline as a lane', (c) => Object.assign(c.lanes ?? {}, { base: {} }), 'lanes.base: found the baseline'],
    [
      'a service that the baseline lacks',
      (c) => Object.assign(c.services.back ?? {}, { instances: { dev1: {} } }),
      'services.back.instances: found no instance in the baseline',
    ],
    [
      'an unknown callee',
      (c) => Object.assign(c.services.front ?? {}, { calls: ['bakc'] }),
      'services.front.calls[0]: found the unknown service "bakc"',
    ],
    [
      'a route to nobody',
      (c) => Object.assign(c.gateways[0]?.routes[0] ?? {}, { service: 'x' }),
      'gateways[0].routes[0].service: found the unknown service "x"',
    ],
    [
      'an entrance that is none',
      (c) => Object.assign(c.rules?.[0] ?? {}, { entrance: 'back' }),
      'rules[0].entrance: found "back", which is no entrance',
    ],
    [
      'two gateways on one port',
      (c) => c.gateways.push({ name: 'second', routes: [{ prefix: '/', service: 'front' }] }),
      'gateways[1]: found the default address:8080',
    ],
    [
      'a rule twice',
      (c) => c.rules?.push({ ...(c.rules[0] as NonNullable<CausewayConfig['rules']>[number]) }),
      'rules[1].name: found "dev1" a second time',
    ],
    [
      'one port for two things',
      (c) => Object.assign(c, { ports: { app: 9080 } }),
      'services.front.port: found port 9080',
    ],
    [
      'hashing without a header',
      (c) => Object.assign(c.services.back ?? {}, { lb: { policy: 'maglev' } }),
      'services.back.lb: found maglev without hashHeader',
    ],
    [
      'an unknown instance',
      (c) => Object.assign(c, { steering: [{ name: 's', to: [{ instance: 'back-base-3' }] }] }),
      'steering[0].to[0].instance: found "back-base-3"',
    ],
    [
      'two targets in one',
      (c) => Object.assign(c, { steering: [{ name: 's', to: [{ lane: 'dev1', instance: 'back-base-1' }] }] }),
      'found 2 of lane, lanes, instance',
    ],
    [
      'an interface without paths',
      (c) => Object.assign(c.services.back?.interfaces?.[0] ?? {}, { prefix: undefined }),
      'services.back.interfaces[0]: found no path, expected template or prefix',
    ],
    [
      'an interface with two kinds of paths',
      (c) => Object.assign(c.services.back?.interfaces?.[0] ?? {}, { template: '/pay/{id}' }),
      'services.back.interfaces[0]: found both template and prefix, expected template or prefix',
    ],
    [
      'an interface by the name of what fits none',
      (c) => Object.assign(c.services.back?.interfaces?.[0] ?? {}, { name: 'other' }),
      'services.back.interfaces[0].name: found "other", expected another name: it stands for all other requests',
    ],
    [
      'a limit of an unknown interface',
      (c) => Object.assign(c.services.back ?? {}, { limits: { interfaces: { buy: 5 } } }),
      'services.back.limits.interfaces.buy: found "buy", expected an interface of back: pay',
    ],
    [
      'a shared limit without the service that counts',
      (c) => Object.assign(c.services.back ?? {}, { limits: { cluster: [{ name: 'all', requests: 5 }] } }),
      'services.back.limits.cluster: found no rate-limit service, expected `ratelimit` with its address',
    ],
    [
      'a shared limit of an unknown interface',
      (c) => {
        Object.assign(c, { ratelimit: { address: '127.0.0.9', timeout: '11s' } });
        Object.assign(c.services.back ?? {}, {
          limits: { cluster: [{ name: 'all', interface: 'buy', requests: 5 }] },
        });
      },
      'services.back.limits.cluster[0].interface: found "buy", expected an interface of back: pay, other',
    ],
    [
      'a verdict that is waited for too long',
      (c) => Object.assign(c, { ratelimit: { address: '127.0.0.9', timeout: '11s' } }),
      'ratelimit.timeout: found 11s, expected 1ms to 10s',
    ],
    [
      'two rules for hot values by one name',
      (c) =>
        Object.assign(c.services.back ?? {}, {
          limits: { hotspots: [1, 2].map((perSecond) => ({ name: 'user', by: { header: 'x-user' }, perSecond })) },
        }),
      'services.back.limits.hotspots[1].name: found "user" a second time, expected different names',
    ],
    [
      'a limit of nothing per second',
      (c) => Object.assign(c.services.back ?? {}, { limits: { perSecond: 0 } }),
      'services.back.limits.perSecond: found 0, expected',
    ],
    [
      'an unknown interface',
      (c) =>
        Object.assign(c, { steering: [{ name: 's', services: ['back'], interface: 'x', to: [{ lane: 'dev1' }] }] }),
      'steering[0].interface: found "x", expected an interface of back: pay',
    ],
    [
      'a redirect to nobody',
      (c) => Object.assign(c, { redirects: [{ name: 'r', service: 'back', from: ['base'], to: 'dev1' }] }),
      'redirects[0].to: found "dev1", where back has no instance',
    ],
    [
      'a redirect to itself',
      (c) => Object.assign(c, { redirects: [{ name: 'r', service: 'back', from: ['base'], to: 'base' }] }),
      'redirects[0].from[0]: found "base", the target itself',
    ],
    [
      'a drill without a fault',
      (c) => Object.assign(c, { faults: [{ name: 'f', lane: 'dev1' }] }),
      'faults[0]: found neither abort nor delay',
    ],
    [
      'ids that clash',
      (c) =>
        Object.assign(c, {
          lanes: { a: {}, 'b-a': {} },
          rules: [],
          services: {
            ...c.services,
            back: { instances: { base: {}, 'b-a': {} } },
            'back-b': { instances: { base: {}, a: {} } },
            front: { entrance: true, instances: { base: {} } },
          },
        }),
      'found the instance id "back-b-a-1", which service "back" has too',
    ],
    [
      'more instances than addresses',
      (c) => Object.assign(c.services.back ?? {}, { instances: { base: { replicas: 200 }, dev1: { replicas: 51 } } }),
      'services.back.instances: found 251 instances',
    ],
  ])('%s', (_name, change, expected) => {
    expect(without(change).join('\n')).toContain(expected);
  });
});

describe('settings of a filter', () => {
  const set = (settings: object) => without((c) => Object.assign(c, { filters: { 'lane-fallback': { settings } } }));

  it('are checked by the filter’s own schema', () => {
    expect(set({ edges: 'all' })).toEqual([]);
    expect(set({ edges: 'some' }).join()).toContain('filters.lane-fallback.settings.edges: found "some"');
    expect(set({ edgs: 'all' }).join()).toContain('filters.lane-fallback.settings.edgs: found the unknown key "edgs"');
  });
});

describe('a document that is an attack or no YAML', () => {
  it.each<[string, string, RegExp]>([
    [
      'aliases that unfold without end',
      `a: &a [x, x]\nb: &b [${'*a,'.repeat(20)}]\nc: &c [${'*b,'.repeat(20)}]\nd: [${'*c,'.repeat(20)}]\n`,
      /at most 100 uses of an alias/,
    ],
    ['brackets without end', `mesh: ${'['.repeat(100_000)}`, /100000 levels of brackets, expected at most 40/],
    ['a syntax error', 'mesh: [a\nservices: {}\n', /^causeway\.yaml:2:\d+: found .*expected valid YAML/],
    ['the same key twice', `${VALID}mesh: other\n`, /^causeway\.yaml:24:1: found .*unique/i],
    ['nothing', '', /expected a mapping/],
  ])('%s', (_name, text, expected) => {
    expect(problems(text).join('\n')).toMatch(expected);
  });

  it('is not read when it is too large, or not there', () => {
    const folder = mkdtempSync(join(tmpdir(), 'cw-config-'));
    try {
      const path = join(folder, 'causeway.yaml');
      writeFileSync(path, `# ${'x'.repeat(MAX_CONFIG_BYTES)}\n${VALID}`);
      expect(() => loadConfig(path)).toThrow(/expected at most 1048576/);
      expect(() => loadConfig(folder)).toThrow(/no regular file/);
      expect(() => loadConfig(join(folder, 'none.yaml'))).toThrow(/none\.yaml:1:1: found no file/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
