import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { resolveIstio } from '../../envoy-configs/istio/options.ts';
import { renderIstio } from '../../envoy-configs/istio/render.ts';
import { istioUninstall } from '../../envoy-configs/istio/uninstall.ts';
import type { Mesh } from '../../envoy-configs/mesh.ts';
import { renderMesh } from '../../envoy-configs/render.ts';
import type { CausewayConfig } from '../../envoy-configs/schema.ts';
import { resourcesOf } from '../../envoy-configs/xds.ts';
import { INTERNAL_HEADERS } from '../../filters/internal-headers.ts';
import { inOrder, type NodeUpdate } from '../../harness/apply/changes.ts';
import { installSteps, uninstallSteps } from '../../harness/apply/uninstall-steps.ts';
import { Output } from '../../harness/cli/output.ts';
import { render } from '../../harness/commands/render.ts';
import { uninstallFiles } from '../../harness/commands/render-uninstall.ts';
import { exampleMesh, TARGET } from '../support/example-mesh.ts';

const ROOT = new URL('../..', import.meta.url).pathname;
const FILE = join(ROOT, 'harness/demo/bookinfo.yaml');
const mesh = (change?: (config: CausewayConfig) => void) => exampleMesh(FILE, change);

/** Everything that the proxies of a mesh read but their bootstraps. */
const readText = (of: Mesh) =>
  renderMesh(of, TARGET)
    .flatMap(({ files, bootstrap }) => Object.entries(files).filter(([path]) => path !== bootstrap))
    .map(([path, text]) => `${path}\n${text}`)
    .join('\n');

describe('the steps of an uninstall', () => {
  it('take away first who makes tags, and the gateways’ filters before the sidecars’', () => {
    const [untagged, unfiltered] = uninstallSteps(mesh());
    expect(untagged?.mesh.rules).toEqual([]);
    const updates = renderMesh(mesh(), TARGET).map((node) => ({ plan: { node } }) as unknown as NodeUpdate);
    for (const [before, after] of [
      [mesh(), untagged?.mesh],
      [untagged?.mesh, unfiltered?.mesh],
    ]) {
      const groups = inOrder(updates, before as Mesh, after as Mesh);
      expect(groups[0]?.map(({ plan }) => plan.node.id)).toEqual(['gateway']);
      expect(groups[1]?.every(({ plan }) => plan.node.kind === 'sidecar')).toBe(true);
    }
  });

  it('have the plain clusters before a route leads there, and the suite’s until none does', () => {
    const clusters = (of: Mesh) =>
      new Set(
        renderMesh(of, TARGET).flatMap(({ files }) =>
          resourcesOf(files['cds/clusters.json'] ?? '').map(({ name }) => String(name)),
        ),
      );
    const routed = (of: Mesh) =>
      Array.from(readText(of).matchAll(/"cluster": "([^"]+)"/g), ([, name]) => name ?? '').filter(
        (name) => name !== '',
      );
    const steps = uninstallSteps(mesh()).map((step) => ({
      has: clusters(step.mesh),
      leads: new Set(routed(step.mesh)),
    }));
    for (const [n, { has, leads }] of steps.entries()) {
      expect(leads.size).toBeGreaterThan(3);
      const next = steps[n + 1] ?? { has };
      expect([...leads].filter((name) => !has.has(name) || !next.has.has(name))).toEqual([]);
    }
  });

  it('end in configurations without a wasm filter, an internal header or a lane', () => {
    const plain = readText(uninstallSteps(mesh()).at(-1)?.mesh as Mesh);
    for (const { name } of INTERNAL_HEADERS) expect(plain).not.toContain(name);
    for (const word of ['wasm', 'causeway', '"dev1"', 'lb_subset_config', 'composite', 'header_to_metadata']) {
      expect([word, plain.includes(word)]).toEqual([word, false]);
    }
  });

  it('keep what the file says of TLS, callers, tokens, brokers and shared limits', () => {
    const plain = uninstallSteps(
      mesh((config) => {
        Object.assign(config, { tls: {}, ratelimit: { address: '127.0.0.9', port: 8081 }, isolation: {} });
        const { reviews, ratings, details } = config.services;
        Object.assign(reviews ?? {}, { tls: { mode: 'on' }, callers: ['productpage'] });
        Object.assign(ratings ?? {}, { limits: { cluster: [{ name: 'all', requests: 10 }] } });
        Object.assign(details ?? {}, { brokers: [{ name: 'nats', port: 4222, at: '127.0.0.9:4222' }] });
      }),
    ).at(-1)?.mesh as Mesh;
    const nodes = new Map(renderMesh(plain, TARGET).map((node) => [node.id, node]));
    const files = (id: string, path: string) => nodes.get(id)?.files[path] ?? '';
    const [cluster] = resourcesOf(files('productpage-base-1', 'cds/clusters.json')).filter(
      ({ name }) => name === 'reviews.plain',
    );
    expect(cluster?.transport_socket).toMatchObject({ name: 'envoy.transport_sockets.tls' });
    expect(files('reviews-base-1', 'lds/listeners.json')).toContain('rbac.v3.RBAC');
    expect(files('reviews-base-1', 'lds/listeners.json')).toContain('require_client_certificate');
    expect(files('ratings-base-1', 'rds/inbound.json')).toContain('rate_limits');
    expect(files('ratings-base-1', 'ecds/causeway.ratelimit.json')).toContain('ratelimit.v3.RateLimit');
    expect(files('details-base-1', 'lds/listeners.json')).toContain('broker.nats');
    expect(files('details-base-1', 'lds/listeners.json')).not.toContain('causeway.network');
    expect(files('details-base-1', 'cds/clusters.json')).toContain('causeway.broker.nats');
  });

  it('take the agents along, which are in the bootstraps', () => {
    const steps = uninstallSteps(mesh((config) => Object.assign(config, { agent: {} })));
    const wasm = steps.map((step) =>
      renderMesh(step.mesh, TARGET)[0]?.files['bootstrap.json']?.includes('envoy.bootstrap.wasm'),
    );
    expect(wasm).toEqual([true, true, true, true, false]);
  });

  it('are not there for what only the suite can do', () => {
    const isolated = mesh((config) => Object.assign(config, { isolation: { instances: { 'reviews-base-1': {} } } }));
    expect(() => uninstallSteps(isolated)).toThrow(/^isolation\.instances: found reviews-base-1, expected none/);
    const sharded = mesh((config) => Object.assign(config.services.details ?? {}, { shards: 1 }));
    expect(() => uninstallSteps(sharded)).toThrow(/^services\.details\.shards: found 1, expected 0/);
  });

  it('are gone back by apply', () => {
    const wanted = mesh();
    const names = (steps: readonly Mesh[]) => steps.map(({ plain, rules }) => plain ?? rules.length);
    expect(names(installSteps(wanted))).toEqual(['only', 'routed', 'prepared', 'unfiltered', 0, wanted.rules.length]);
  });
});

describe('causeway render --uninstall', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'cw-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('writes each step’s files for the places where render has put them, and what to remove', async () => {
    const said: string[] = [];
    const sink = { write: (text: string) => said.push(text) } as unknown as NodeJS.WritableStream;
    const output = new Output(true, { out: sink, err: sink });
    const options = { file: FILE, state: folder, driver: 'process', out: folder } as const;
    await render(options, output);
    const before = readFileSync(join(folder, 'nodes/gateway/lds/listeners.json'), 'utf8');
    await render({ ...options, uninstall: true }, output);
    expect(readFileSync(join(folder, 'nodes/gateway/lds/listeners.json'), 'utf8')).toBe(before);
    const { steps, remove } = JSON.parse(said.at(-1) ?? '') as { steps: { folder: string }[]; remove: string[] };
    expect(steps.map((step) => step.folder.slice(folder.length))).toEqual(
      ['1-untagged', '2-unfiltered', '3-prepared', '4-routed', '5-plain'].map((name) => `/uninstall/${name}`),
    );
    const routed = readFileSync(join(folder, 'uninstall/4-routed/nodes/gateway/lds/listeners.json'), 'utf8');
    expect(routed).toContain(`${folder}/nodes/gateway/rds/gateway.json`);
    expect(remove).toContain(join(folder, 'nodes/gateway/ecds/causeway.gateway.json'));
    for (const path of remove) expect(existsSync(path)).toBe(true);
    expect(readFileSync(join(folder, 'uninstall/remove.txt'), 'utf8').split('\n').length - 1).toBe(remove.length);
  });

  it('has nothing in a step that the step before has left as it is', () => {
    const { steps } = uninstallFiles(mesh(), TARGET);
    const [untagged, unfiltered] = steps.map(({ files }) => [...files.keys()]);
    expect(untagged).toEqual(['/n/gateway/ecds/causeway.gateway.json']);
    expect(unfiltered?.every((path) => path.includes('/ecds/'))).toBe(true);
  });
});

describe('causeway render istio --uninstall', () => {
  const deletions = (api: 'envoyfilter' | 'trafficextension' | 'wasmplugin') => {
    const istio = resolveIstio(undefined, { url: 'file:///x.wasm', sha256: 'f'.repeat(64) }, api);
    const files = renderIstio(mesh(), istio);
    return {
      all: files.flatMap(({ resources, configMaps = [] }) => [...resources, ...configMaps]),
      steps: istioUninstall(files, mesh()),
    };
  };

  it.each(['envoyfilter', 'trafficextension', 'wasmplugin'] as const)('deletes everything once: %s', (api) => {
    const { all, steps } = deletions(api);
    const wanted = all.map(
      ({ kind, metadata }) => `${kind.toLowerCase()} ${metadata.name} --namespace ${metadata.namespace}`,
    );
    const given = steps.flatMap(({ commands }) => commands);
    expect(given.map((line) => line.replace(/^kubectl delete (.*) --ignore-not-found$/, '$1')).sort()).toEqual(
      wanted.sort(),
    );
  });

  it('deletes routes before what they refer to, and what takes outsiders’ headers off last', () => {
    const given = deletions('envoyfilter').steps.flatMap(({ commands }) => commands);
    const places = (word: string) => given.flatMap((line, n) => (line.includes(` ${word} `) ? [n] : []));
    const kinds = (kind: string) => given.flatMap((line, n) => (line.includes(` ${kind} `) ? [n] : []));
    expect(Math.max(...kinds('virtualservice'))).toBeLessThan(Math.min(...kinds('destinationrule')));
    expect(Math.max(...places('causeway-inbound'))).toBeLessThan(Math.min(...kinds('destinationrule')));
    expect(given.findIndex((line) => line.includes('envoyfilter causeway-gateway '))).toBeGreaterThan(
      Math.max(...kinds('destinationrule'), ...kinds('sidecar')),
    );
  });

  it('names the lanes’ workloads, which are the user’s', () => {
    expect(deletions('envoyfilter').steps[1]?.what).toContain('reviews of GROUP_1');
  });
});
