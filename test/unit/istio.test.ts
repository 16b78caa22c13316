import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import type { Resource } from '../../envoy-configs/istio/kube.ts';
import { MODULE_PATH, ociImage, sha256 } from '../../envoy-configs/istio/oci.ts';
import { type PluginApi, resolveIstio } from '../../envoy-configs/istio/options.ts';
import { NotOnIstio, renderIstio } from '../../envoy-configs/istio/render.ts';
import type { JsonObject } from '../../envoy-configs/mesh.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import type { CausewayConfig } from '../../envoy-configs/schema.ts';
import { statsConfig } from '../../envoy-configs/stats.ts';
import { parseConfig } from '../../harness/config/load.ts';

const ROOT = new URL('../..', import.meta.url).pathname;
const DEMO = readFileSync(join(ROOT, 'harness/demo/bookinfo.yaml'), 'utf8');
const FILE = { url: 'file:///etc/causeway/causeway.wasm', sha256: 'f'.repeat(64) };

function resources(
  change: (config: CausewayConfig) => void = () => {},
  { module = FILE, api = 'envoyfilter' as PluginApi } = {},
): Resource[] {
  const config = parse(DEMO) as CausewayConfig;
  change(config);
  return renderIstio(resolveMesh(config), resolveIstio(config.istio, module, api)).flatMap((file) => file.resources);
}

const ofKind = (all: readonly Resource[], kind: string) => all.filter((item) => item.kind === kind);
function named(all: readonly Resource[], kind: string, name: string): Resource {
  const found = ofKind(all, kind).find(({ metadata }) => metadata.name === name);
  if (!found)
    throw new Error(`no ${kind} ${name}; there are ${ofKind(all, kind).map(({ metadata }) => metadata.name)}`);
  return found;
}
type HttpRoute = { name: string; match?: JsonObject[]; directResponse?: JsonObject; route?: JsonObject[] };
const routes = (all: readonly Resource[], service: string) =>
  named(all, 'VirtualService', `causeway-${service}`).spec.http as unknown as HttpRoute[];
const clusters = (all: readonly Resource[], service: string) =>
  (
    named(all, 'EnvoyFilter', `causeway-lanes-${service}`).spec.configPatches as unknown as {
      applyTo: string;
      patch: JsonObject;
    }[]
  )
    .filter(({ applyTo }) => applyTo === 'CLUSTER')
    .map(
      ({ patch }) =>
        patch.value as { name: string; cluster_type: { name: string; typed_config: { clusters: unknown[] } } },
    );

describe('the override of the bootstrap', () => {
  it('is a ConfigMap in each namespace that has proxies, for the annotation of its Pods', () => {
    const config = parse(DEMO) as CausewayConfig;
    const files = renderIstio(resolveMesh(config), resolveIstio({ namespace: 'shop' }, FILE, 'envoyfilter'));
    const maps = files.flatMap(({ configMaps = [] }) => configMaps);
    expect(maps.map(({ metadata }) => [metadata.name, metadata.namespace])).toEqual([
      ['causeway-bootstrap', 'shop'],
      ['causeway-bootstrap', 'istio-system'],
    ]);
    for (const { data, metadata } of maps) {
      expect(metadata.labels).toEqual({ 'app.kubernetes.io/managed-by': 'causeway' });
      expect(JSON.parse(data['custom_bootstrap.json'] ?? '')).toEqual({ stats_config: statsConfig() });
    }
    // Istio takes such an EnvoyFilter and does nothing with it.
    expect(JSON.stringify(files)).not.toContain('"BOOTSTRAP"');
  });
});

describe('the agent', () => {
  const OCI = { url: 'oci://registry.example/causeway:1', sha256: 'a'.repeat(64) };
  const override = (api: PluginApi, istio: CausewayConfig['istio'] = {}, module = FILE) => {
    const config = { ...(parse(DEMO) as CausewayConfig), agent: { cpu: 'container' as const } };
    const files = renderIstio(resolveMesh(config), resolveIstio(istio, module, api));
    const [map] = files.flatMap(({ configMaps = [] }) => configMaps);
    return JSON.parse(map?.data['custom_bootstrap.json'] ?? '') as {
      stats_config: JsonObject;
      bootstrap_extensions: [{ typed_config: { config: { vm_config: { vm_id: string; code: JsonObject } } } }];
      static_resources: { clusters: [{ load_assignment: JsonObject }] };
      overload_manager: { resource_monitors: [{ typed_config: JsonObject }] };
    };
  };

  it('comes by the override, asks the admin of Istio’s proxies, and for statistics that Istio leaves out', () => {
    const { stats_config, static_resources, overload_manager } = override('envoyfilter');
    expect(stats_config).toMatchObject(statsConfig());
    expect(stats_config.stats_matcher).toEqual({
      inclusion_list: { patterns: [{ prefix: 'overload.envoy.resource_monitors.cpu_utilization' }] },
    });
    expect(static_resources.clusters[0].load_assignment).toMatchObject({
      endpoints: [
        { lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: 15000 } } } }] },
      ],
    });
    expect(overload_manager.resource_monitors[0].typed_config.mode).toBe('CONTAINER');
  });

  it('shares data with the filters, whichever resource puts them in', () => {
    const idOf = (api: PluginApi) => override(api).bootstrap_extensions[0].typed_config.config.vm_config.vm_id;
    expect([idOf('envoyfilter'), idOf('trafficextension'), idOf('wasmplugin')]).toEqual(['causeway', '', '']);
    expect(JSON.stringify(resources())).toContain('"vm_id":"causeway"');
  });

  it('needs the module as a file, and says so', () => {
    const code = (istio: CausewayConfig['istio'], module = FILE) =>
      override('envoyfilter', istio, module).bootstrap_extensions[0].typed_config.config.vm_config.code;
    expect(code({})).toEqual({ local: { filename: '/etc/causeway/causeway.wasm' } });
    expect(code({ agentModule: 'file:///mnt/agent.wasm' }, OCI)).toEqual({ local: { filename: '/mnt/agent.wasm' } });
    expect(() => override('envoyfilter', {}, OCI)).toThrow(/^istio\.agentModule: found none, expected file:\/\/\/path/);
  });

  it('has no healing centre', () => {
    expect(() => resources((config) => Object.assign(config, { centre: {} }))).toThrow(
      /^centre: found 127\.0\.0\.1:7070, expected none/,
    );
  });
});

const composite = (config: CausewayConfig) => {
  config.istio = { fallback: 'composite' };
};

describe('the resources', () => {
  it('have unique names, a priority on every EnvoyFilter, and one label to delete all of them by', () => {
    for (const api of ['envoyfilter', 'trafficextension', 'wasmplugin'] as const) {
      const all = resources(() => {}, { api });
      const keys = all.map(({ kind, metadata }) => `${kind}/${metadata.namespace}/${metadata.name}`);
      expect(new Set(keys).size).toBe(keys.length);
      for (const item of all) expect(item.metadata.labels).toEqual({ 'app.kubernetes.io/managed-by': 'causeway' });
      for (const filter of ofKind(all, 'EnvoyFilter')) expect(filter.spec.priority).toBe(10);
    }
  });

  it('walk a chain by a composite cluster of its lanes where proxies have it', () => {
    const all = resources(composite);
    const host = 'reviews.default.svc.cluster.local';
    const member = (subset: string) => ({ name: `outbound|9080|${subset}|${host}` });
    const group = clusters(all, 'reviews').find(({ name }) => name.includes('GROUP_2>GROUP_1>base'));
    expect(group?.cluster_type.typed_config.clusters).toEqual([
      member('group-2-oitoj6o'),
      member('group-1-nitoj6o'),
      member('base'),
      member('base'),
    ]);
  });

  it('name the same clusters and routes whether or not a service has instances in a lane', () => {
    const joined = (config: CausewayConfig) => {
      const { details, reviews } = config.services;
      Object.assign(details?.instances ?? {}, { dev1: {}, gold: {} });
      delete reviews?.instances.GROUP_1;
    };
    const names = (all: readonly Resource[]) =>
      all.map(({ kind, metadata, spec }) => [
        kind,
        metadata.name,
        kind === 'DestinationRule' ? spec.subsets : [],
        kind === 'VirtualService'
          ? (spec.http as HttpRoute[]).map(({ name, match, route }) => [name, match, route])
          : [],
        /^causeway-lanes-/.test(metadata.name) && kind === 'EnvoyFilter'
          ? (
              spec.configPatches as {
                patch: { value: { name?: string; cluster_type?: object; route?: { cluster: string } } };
              }[]
            ).map(({ patch: { value } }) => [value.name, value.cluster_type, value.route?.cluster])
          : [],
      ]);
    expect(names(resources(joined))).toEqual(names(resources()));
    expect(JSON.stringify(routes(resources(), 'reviews'))).toContain('dev1>base');
  });

  it('give a chain as many tries as it has lanes with instances, so that an absent one’s does not go to the baseline', () => {
    const retries = (service: string, token: string, change?: (config: CausewayConfig) => void) => {
      const route = routes(resources(change), service).find(({ match }) =>
        JSON.stringify(match)?.includes(`"${token}"`),
      );
      return (route as unknown as { retries: { attempts: number } }).retries.attempts;
    };
    expect(retries('ratings', 'dev1>base')).toBe(2);
    expect(retries('reviews', 'dev1>base')).toBe(1);
    expect(retries('reviews', 'GROUP_2>GROUP_1>base')).toBe(3);
    expect(retries('ratings', 'GROUP_2>GROUP_1>base')).toBe(1);
    expect(retries('productpage', 'gold')).toBe(1);
    expect(retries('details', 'gold')).toBe(1);
  });

  it('lead to the baseline until the patch with the chain’s own cluster is there, but never out of a strict lane', () => {
    const subsets = (token: string) =>
      routes(resources(), 'ratings')
        .filter(({ match }) => JSON.stringify(match)?.includes(`"${token}"`))
        .flatMap(({ route = [] }) => route.map(({ destination }) => (destination as JsonObject).subset));
    expect(new Set(subsets('dev1>base'))).toEqual(new Set(['base']));
    expect(new Set(subsets('gold'))).toEqual(new Set(['gold']));
  });

  it('walk it by an aggregate cluster else, since Istio’s own proxies have no other: each lane once', () => {
    const all = resources();
    expect(JSON.stringify(all)).not.toContain('composite');
    const [first] = clusters(all, 'ratings');
    expect(first?.cluster_type.name).toBe('envoy.clusters.aggregate');
    expect(new Set(first?.cluster_type.typed_config.clusters).size).toBe(
      first?.cluster_type.typed_config.clusters.length,
    );
    expect(JSON.stringify(named(all, 'EnvoyFilter', 'causeway-lanes-ratings'))).toContain('previous_priorities');
  });

  it('lead nowhere else for a strict lane without an instance', () => {
    const all = resources(composite);
    const gold = clusters(all, 'details').filter(({ name }) => name.includes('|gold|'));
    const member = { name: 'outbound|9080|gold|details.default.svc.cluster.local' };
    expect(gold.map(({ cluster_type }) => cluster_type.typed_config.clusters)).toEqual([[member, member]]);
  });

  it('name a lane’s Pods by the labels that the file gives them', () => {
    const all = resources((config) => {
      const dev1 = config.services.ratings?.instances.dev1;
      if (dev1) dev1.labels = { version: 'v3' };
    });
    const { subsets } = named(all, 'DestinationRule', 'causeway-ratings').spec as { subsets: object[] };
    expect(subsets).toContainEqual({ name: 'dev1', labels: { version: 'v3' } });
    expect(named(all, 'EnvoyFilter', 'causeway-served-ratings-dev1').spec.workloadSelector).toEqual({
      labels: { app: 'ratings', version: 'v3' },
    });
  });

  it('refer to the module by the digest that its kind is checked by', () => {
    const oci = { url: 'oci://registry.example/causeway:1', sha256: 'a'.repeat(64) };
    expect(JSON.stringify(resources(() => {}, { module: oci }))).toContain(
      `{"remote":{"http_uri":{"uri":"${oci.url}","cluster":"_","timeout":"30s"},"sha256":"${oci.sha256}"}}`,
    );
    expect(JSON.stringify(resources())).toContain('{"local":{"filename":"/etc/causeway/causeway.wasm"}}');
    for (const [api, kind] of [
      ['wasmplugin', 'WasmPlugin'],
      ['trafficextension', 'TrafficExtension'],
    ] as const) {
      const plugins = ofKind(
        resources(() => {}, { module: oci, api }),
        kind,
      );
      expect(plugins.length).toBeGreaterThan(0);
      for (const { spec } of plugins) {
        const wasm = (spec.wasm ?? spec) as JsonObject;
        expect(wasm).toMatchObject({ url: oci.url, sha256: oci.sha256, failStrategy: 'FAIL_RELOAD' });
      }
    }
  });

  it('take every tag off at a gateway where nothing can tell whose to believe', () => {
    const strips = (change: (config: CausewayConfig) => void) =>
      JSON.stringify(named(resources(change), 'EnvoyFilter', 'causeway-gateway')).includes(
        '{"remove":"x-asm-traffic-lane"}',
      );
    expect(strips(() => {})).toBe(false);
    expect(strips((config) => Object.assign(config.gateways[0] ?? {}, { trust: undefined }))).toBe(true);
    const off = (config: CausewayConfig) => {
      config.filters = { 'lane-tagging': { enabled: false } };
    };
    expect(strips(off)).toBe(true);
  });

  it('refuse what Istio cannot say, with its place', () => {
    const shards = (config: CausewayConfig) => Object.assign(config.services.ratings ?? {}, { shards: 2 });
    expect(() => resources(shards)).toThrow(NotOnIstio);
    expect(() => resources(shards)).toThrow(/^services\.ratings\.shards: found 2, expected none/);
    const redirect = (config: CausewayConfig) => {
      config.redirects = [{ name: 'move', service: 'ratings', from: ['base'], to: 'dev1' }];
    };
    expect(() => resources(redirect)).toThrow(/^redirects: found "move", expected none/);
  });
});

describe('the section istio', () => {
  it.each([
    ['module: https://x/y.wasm', 'istio.module'],
    ['namespace: Not_A_Name', 'istio.namespace'],
    ['gatewaySelector: {}', 'istio.gatewaySelector'],
    ['agentModule: oci://x/y', 'istio.agentModule'],
    ['wat: 1', 'istio.wat'],
  ])('refuses %s', (line, field) => {
    expect(() => parseConfig(`${DEMO}\nistio: { ${line} }\n`, 'x.yaml')).toThrow(field);
  });
});

describe('the image', () => {
  const module = new Uint8Array(Array.from({ length: 200_000 }, (_, at) => (at * 7) % 251));

  it('is the same bytes each time, with the module as its one file', () => {
    const image = ociImage(module, '1.2.3');
    expect([...ociImage(module, '1.2.3').files]).toEqual([...image.files]);
    const manifest = JSON.parse(Buffer.from(image.files.get(`blobs/sha256/${image.manifestSha256}`) ?? []).toString());
    expect(manifest.layers).toHaveLength(1);
    const [{ digest, mediaType }] = manifest.layers as [{ digest: string; mediaType: string }];
    expect(mediaType).toBe('application/vnd.oci.image.layer.v1.tar+gzip');
    const layer = image.files.get(`blobs/${digest.replace(':', '/')}`) ?? new Uint8Array();
    expect(`sha256:${sha256(layer)}`).toBe(digest);
    // What tar says is what counts, not our own reading of the format.
    const folder = mkdtempSync(join(tmpdir(), 'cw-'));
    try {
      writeFileSync(join(folder, 'layer.tar.gz'), layer);
      const { status, stderr } = spawnSync('tar', ['-xzf', 'layer.tar.gz'], { cwd: folder, encoding: 'utf8' });
      expect([status, stderr]).toEqual([0, '']);
      expect(readdirSync(folder).sort()).toEqual(['layer.tar.gz', MODULE_PATH]);
      expect(sha256(readFileSync(join(folder, MODULE_PATH)))).toBe(image.moduleSha256);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    const config = JSON.parse(
      Buffer.from(image.files.get(`blobs/${manifest.config.digest.replace(':', '/')}`) ?? []).toString(),
    );
    expect(config.rootfs.diff_ids).toEqual([`sha256:${sha256(gunzipSync(layer))}`]);
  });
});

describe('the published resources', () => {
  it('are YAML documents of kinds that Kubernetes and Istio have', () => {
    const folder = join(ROOT, 'envoy-configs/bookinfo/istio');
    const kinds = readdirSync(folder).flatMap((name) =>
      parseAllDocuments(readFileSync(join(folder, name), 'utf8')).map((document) => String(document.get('kind'))),
    );
    expect(new Set(kinds)).toEqual(
      new Set(['ConfigMap', 'DestinationRule', 'EnvoyFilter', 'Gateway', 'Sidecar', 'VirtualService']),
    );
  });
});
