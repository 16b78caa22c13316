import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { type PluginApi, resolveIstio } from '../../envoy-configs/istio/options.ts';
import { renderIstio, yamlOfFile } from '../../envoy-configs/istio/render.ts';
import type { JsonObject } from '../../envoy-configs/mesh.ts';
import { renderMesh } from '../../envoy-configs/render.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import type { CausewayConfig } from '../../envoy-configs/schema.ts';
import { diagnose } from '../../harness/doctor/doctor.ts';
import { readDocuments } from '../../harness/doctor/files.ts';
import type { Finding } from '../../harness/doctor/finding.ts';
import { liveDocuments } from '../../harness/doctor/live.ts';

/** Each mistake is made in what `render` writes, where nothing else is found: one mistake, one finding. */

const ROOT = new URL('../..', import.meta.url).pathname;
const TEXT = readFileSync(join(ROOT, 'envoy-configs/bookinfo/causeway.yaml'), 'utf8');
const MODULE = { module: 'd'.repeat(64), manifest: 'e'.repeat(64) };

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cw-doctor-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function put(path: string, text: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
}

/** Renders everything as plain Envoys, with `change` made to the file that is named. */
function plain(file?: string, change: (text: string) => string = (text) => text): Finding[] {
  const target = {
    wasmPath: '/w/causeway.wasm',
    nodeDir: (id: string) => `${folder}/${id}`,
    adminSocket: (id: string) => `/r/${id}.sock`,
    accessLog: (id: string) => `/l/${id}.log`,
  };
  for (const node of renderMesh(resolveMesh(parse(TEXT) as CausewayConfig), target)) {
    for (const [path, text] of Object.entries(node.files)) {
      const whole = `${node.id}/${path}`;
      const changed = whole === file ? change(text) : text;
      if (whole === file) expect(changed, 'the mistake is made').not.toBe(text);
      put(whole, changed);
    }
  }
  return found();
}

function istio(change: (text: string) => string = (text) => text, api: PluginApi = 'envoyfilter'): Finding[] {
  const module = { url: 'oci://registry.example/causeway:1', sha256: MODULE.manifest };
  for (const file of renderIstio(resolveMesh(parse(TEXT) as CausewayConfig), resolveIstio(undefined, module, api))) {
    put(`${file.name}.yaml`, change(yamlOfFile(file)));
  }
  return found();
}

function found(): Finding[] {
  const { documents, findings } = readDocuments(folder);
  return [...findings, ...diagnose(documents, MODULE)];
}

/** Changes the first object that has `key`. */
const inJson =
  (key: string, change: (object: Record<string, JsonObject[string]>) => void) =>
  (text: string): string => {
    let done = false;
    const visit = (value: unknown): void => {
      if (typeof value !== 'object' || value === null || done) return;
      if (!Array.isArray(value) && key in value) {
        change(value as Record<string, JsonObject[string]>);
        done = true;
        return;
      }
      for (const item of Object.values(value)) visit(item);
    };
    const root = JSON.parse(text) as unknown;
    visit(root);
    return JSON.stringify(root, null, 2);
  };

/** One finding of this rule, at a line of this file, with something to do about it. */
function only(findings: readonly Finding[], rule: string, file: string): Finding {
  expect(findings.map((finding) => finding.rule)).toEqual([rule]);
  const [finding] = findings;
  if (!finding) throw new Error('nothing found');
  expect(finding.place).toMatch(new RegExp(`${file.replaceAll('.', '\\.')}:\\d+:\\d+$`));
  expect(finding.reason.length).toBeGreaterThan(20);
  expect(finding.fix.length).toBeGreaterThan(5);
  return finding;
}

const GATEWAY_CLUSTERS = 'gateway/cds/clusters.json';
const LISTENERS = 'gateway/lds/listeners.json';
const ECDS = 'reviews-base-1/ecds/causeway.outbound.json';

describe('what render writes', () => {
  it('has none of the mistakes, as Envoys and as every form of Istio’s resources', () => {
    expect(plain()).toEqual([]);
    for (const api of ['envoyfilter', 'trafficextension', 'wasmplugin'] as const)
      expect(istio(undefined, api)).toEqual([]);
  });
});

describe('in an Envoy’s files', () => {
  it('finds a panic threshold left at 50 %', () => {
    const change = inJson('lb_subset_config', (cluster) => {
      delete (cluster.common_lb_config as Record<string, unknown>).healthy_panic_threshold;
    });
    const { reason } = only(plain(GATEWAY_CLUSTERS, change), 'panic-threshold', GATEWAY_CLUSTERS);
    expect(reason).toContain('50 %');
  });

  it('finds a fallback policy under a fallback list', () => {
    const change = inJson('subset_selectors', (subsets) => {
      const [selector] = subsets.subset_selectors as Record<string, unknown>[];
      if (selector) selector.fallback_policy = 'ANY_ENDPOINT';
    });
    const { field } = only(plain(GATEWAY_CLUSTERS, change), 'fallback-policy', GATEWAY_CLUSTERS);
    expect(field).toMatch(/lb_subset_config\.subset_selectors\[0\]$/);
  });

  it('finds a default policy under a fallback list', () => {
    const change = inJson('subset_selectors', (subsets) => {
      subsets.fallback_policy = 'DEFAULT_SUBSET';
    });
    only(plain(GATEWAY_CLUSTERS, change), 'fallback-policy', GATEWAY_CLUSTERS);
  });

  it('finds a fallback list without a subset selector', () => {
    const change = inJson('subset_selectors', (subsets) => {
      subsets.subset_selectors = [];
    });
    only(plain(GATEWAY_CLUSTERS, change), 'subset-selector', GATEWAY_CLUSTERS);
  });

  it('finds a health check that leaves idle clusters at 60 s', () => {
    const change = inJson('no_traffic_interval', (check) => {
      delete check.no_traffic_interval;
    });
    only(plain(GATEWAY_CLUSTERS, change), 'no-traffic-interval', GATEWAY_CLUSTERS);
  });

  it('finds an internal header that outsiders may send', () => {
    const change = (text: string) => text.replace('"remove": "x-causeway-strict"', '"remove": "x-nothing"');
    const { reason } = only(plain(LISTENERS, change), 'internal-headers', LISTENERS);
    expect(reason).toContain('x-causeway-strict');
  });

  it('finds request ids of outsiders that are kept', () => {
    const change = inJson('preserve_external_request_id', (manager) => {
      manager.preserve_external_request_id = true;
    });
    only(plain(LISTENERS, change), 'external-request-id', LISTENERS);
  });

  it.each([
    ['FAIL_CLOSED', 'every later request is answered 503'],
    ['FAIL_OPEN', 'passes without lanes'],
  ])('finds a lane filter with %s', (policy, effect) => {
    const change = inJson('failure_policy', (config) => {
      config.failure_policy = policy;
    });
    expect(only(plain(ECDS, change), 'failure-policy', ECDS).reason).toContain(effect);
  });

  it('finds an admin interface beyond loopback', () => {
    const file = 'gateway/bootstrap.json';
    const change = inJson('admin', (root) => {
      root.admin = { address: { socket_address: { address: '0.0.0.0', port_value: 9901 } } };
    });
    only(plain(file, change), 'admin-exposed', file);
  });

  it('finds a route that leaves what an instance keeps out unanswered', () => {
    const file = 'gateway/rds/gateway.json';
    const drop = inJson('retriable_headers', (policy) => {
      policy.retriable_headers = (policy.retriable_headers as JsonObject[]).slice(0, 1);
    });
    expect(only(plain(file, drop), 'retriable-headers', file).reason).toContain('x-causeway-isolated');
    const ignore = inJson('retriable_headers', (policy) => {
      policy.retry_on = 'connect-failure';
    });
    expect(only(plain(file, ignore), 'retriable-headers', file).reason).toContain('retry_on');
  });

  it('finds a control listener beyond loopback', () => {
    const file = 'reviews-base-1/lds/listeners.json';
    const change = (text: string) => {
      const root = JSON.parse(text) as {
        resources: { name: string; address: JsonObject; filter_chains: JsonObject[] }[];
      };
      const inbound = root.resources.find(({ name }) => name === 'inbound');
      if (inbound) {
        inbound.address = { socket_address: { address: '10.0.0.7', port_value: 15015 } };
        inbound.filter_chains = JSON.parse(
          JSON.stringify(inbound.filter_chains).replaceAll('causeway.inbound', 'causeway.control'),
        ) as JsonObject[];
      }
      return JSON.stringify(root, null, 2);
    };
    expect(only(plain(file, change), 'control-exposed', file).reason).toContain('10.0.0.7');
  });

  it('finds a route that a header can lead anywhere', () => {
    const file = 'gateway/rds/gateway.json';
    const change = inJson('metadata_match', (route) => {
      delete route.cluster;
      route.cluster_header = 'x-target';
    });
    expect(only(plain(file, change), 'cluster-header', file).reason).toContain('x-target');
  });

  it('finds an override header that the route takes off', () => {
    const file = 'gateway/rds/gateway.json';
    const policy = (text: string) => {
      const root = JSON.parse(text) as { resources: Record<string, unknown>[] };
      const type = 'type.googleapis.com/envoy.extensions.load_balancing_policies.override_host.v3.OverrideHost';
      const override = { '@type': type, override_host_sources: [{ header: 'x-host' }] };
      root.resources.push({
        name: 'other',
        load_balancing_policy: { policies: [{ typed_extension_config: { name: 'o', typed_config: override } }] },
      });
      return JSON.stringify(root);
    };
    plain(GATEWAY_CLUSTERS, policy);
    const routes = readFileSync(join(folder, file), 'utf8');
    writeFileSync(
      join(folder, file),
      inJson('metadata_match', () => {})(routes).replace(
        '"request_headers_to_remove": [',
        '"request_headers_to_remove": [ "x-host",',
      ),
    );
    only(found(), 'override-header', file);
  });

  it('finds stats_tags missing', () => {
    const file = 'gateway/bootstrap.json';
    const change = inJson('stats_config', (root) => {
      delete root.stats_config;
    });
    only(plain(file, change), 'stats-tags', file);
  });

  it('finds request-close on an HTTP/2 upstream', () => {
    const change = inJson('typed_extension_protocol_options', (cluster) => {
      cluster.typed_extension_protocol_options = {
        'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
          explicit_http_config: { http2_protocol_options: {} },
          http_filters: [{ name: 'causeway.connection-elimination' }],
        },
      };
    });
    only(plain(GATEWAY_CLUSTERS, change), 'request-close-http2', GATEWAY_CLUSTERS);
  });

  it('finds roles that share one VM', () => {
    const change = inJson('vm_config', (config) => {
      (config.vm_config as Record<string, unknown>).configuration = {
        '@type': 'type.googleapis.com/google.protobuf.StringValue',
        value: 'inbound',
      };
    });
    expect(only(plain(ECDS, change), 'shared-vm', 'causeway.outbound.json').reason).toContain('causeway.inbound');
  });

  const configured = (edit: (sections: Record<string, Record<string, unknown>>) => void) =>
    inJson('failure_policy', (config) => {
      const configuration = config.configuration as { value: string };
      const sections = JSON.parse(configuration.value) as Record<string, Record<string, unknown>>;
      edit(sections);
      (configuration as { value: string }).value = JSON.stringify(sections);
    });

  it('finds configuration keys that the module does not know', () => {
    const change = configured((sections) => Object.assign(sections['lane-fallback'] ?? {}, { stagez: 3 }));
    expect(only(plain(ECDS, change), 'unknown-keys', ECDS).reason).toContain('stagez');
  });

  it('finds limits that are never met', () => {
    const limits = { perSecond: 50, interfaces: [{ name: 'a', template: '/a', perSecond: 60 }] };
    const change = configured((sections) => Object.assign(sections, { 'adaptive-rate-limit': limits }));
    expect(only(plain(ECDS, change), 'unreachable-limit', ECDS).reason).toContain('"a" may have 60');
    const below = configured((sections) =>
      Object.assign(sections, { 'adaptive-rate-limit': { ...limits, perSecond: 61 } }),
    );
    expect(plain(ECDS, below)).toEqual([]);
  });

  it('finds credentials in a plugin’s configuration', () => {
    const change = configured((sections) => Object.assign(sections['lane-fallback'] ?? {}, { password: 'hunter2' }));
    const findings = plain(ECDS, change);
    expect(findings.map(({ rule }) => rule).sort()).toEqual(['credentials', 'unknown-keys']);
    expect(findings.find(({ rule }) => rule === 'credentials')?.reason).toContain('lane-fallback.password');
    expect(JSON.stringify(findings), 'it does not print what it found').not.toContain('hunter2');
  });
});

describe('in Istio’s resources', () => {
  it('finds an EnvoyFilter without a priority', () => {
    const findings = istio((text) => text.replace(/(name: causeway-inbound\n[\s\S]*?) {2}priority: 10\n/, '$1'));
    only(findings, 'envoyfilter-priority', '20-sidecars.yaml');
  });

  it.each(['envoyfilter', 'trafficextension', 'wasmplugin'] as const)(
    'finds a digest that is not this module’s in %s',
    (api) => {
      const findings = istio((text) => text.replaceAll(MODULE.manifest, 'b'.repeat(64)), api);
      expect(new Set(findings.map(({ rule }) => rule))).toEqual(new Set(['wasm-sha256']));
      expect(findings[0]?.fix).toContain(MODULE.manifest);
    },
  );

  it('finds the metrics’ labels missing', () => {
    const findings = istio((text) => text.replaceAll('causeway_', 'cause_'));
    expect(findings.map(({ rule }) => rule)).toContain('stats-tags');
  });
});

describe('in causeway.yaml', () => {
  it('finds what the file may not say, where it stands', () => {
    put('causeway.yaml', TEXT.replace('lanes:', 'lanez: {}\nlanes:'));
    expect(found().map(({ rule, field }) => [rule, field])).toEqual([['unknown-keys', 'lanez']]);
  });
});

describe('bad input', () => {
  it.each([
    [
      'a YAML bomb',
      `${['a: &a [x,x,x,x,x,x,x,x,x]', ...'bcdefgh'.split('').map((name, at) => `${name}: &${name} [${Array(9).fill(`*${'abcdefgh'[at]}`)}]`)].join('\n')}\n`,
    ],
    ['what is no YAML', 'a: [1, 2\nb: }'],
  ])('answers %s with a finding', (_what, text) => {
    put('x.yaml', text);
    expect(found().map(({ rule }) => rule)).toEqual(['readable']);
  });

  it('survives what has unexpected types everywhere', () => {
    put(
      'x.yaml',
      stringify({
        kind: 'EnvoyFilter',
        spec: [1],
        admin: 7,
        health_checks: [null, 3],
        route: 'x',
        lb_subset_config: [],
      }),
    );
    expect(found().map(({ rule }) => rule)).toEqual(['envoyfilter-priority']);
  });
});

describe('a running Envoy', () => {
  let server: Server;
  let url = '';
  const answers: Record<string, unknown> = {};
  beforeEach(async () => {
    server = createServer((request, response) => {
      const [path = ''] = (request.url ?? '').split('?');
      response.end(JSON.stringify(answers[path] ?? {}));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
  });
  afterEach(() => new Promise((resolve) => server.close(resolve)));

  it('tells by its counters of an application that does not forward the trace header', async () => {
    const stat = (name: string, value: number) => ({ name: `wasmcustom.causeway_trace_propagation_${name}`, value });
    answers['/config_dump'] = { configs: [] };
    answers['/stats'] = { stats: [stat('leaked_total.reason.unknown_id', 40), stat('hit_total', 100)] };
    const { findings } = await liveDocuments(url);
    expect(findings.map(({ rule, place }) => [rule, place])).toEqual([['trace-header', `${url}/stats`]]);
    answers['/stats'] = { stats: [stat('leaked_total.reason.no_id', 1), stat('untagged_total', 1_000)] };
    expect((await liveDocuments(url)).findings).toEqual([]);
  });

  it('is judged by its configuration as files are', async () => {
    answers['/stats'] = { stats: [] };
    answers['/config_dump'] = {
      configs: [{ bootstrap: { admin: { address: { socket_address: { address: '0.0.0.0', port_value: 1 } } } } }],
    };
    const { documents } = await liveDocuments(url);
    expect(diagnose(documents).map(({ rule, field }) => [rule, field])).toEqual([
      ['admin-exposed', 'configs[0].bootstrap.admin.address'],
    ]);
  });
});
