import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { yamlOf } from '../../envoy-configs/istio/kube.ts';
import { type PluginApi, resolveIstio } from '../../envoy-configs/istio/options.ts';
import { renderIstio } from '../../envoy-configs/istio/render.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import type { CausewayConfig } from '../../envoy-configs/schema.ts';
import { noGo } from '../support/required.ts';

/** Every rendered resource against Istio's own definitions, by kubeconform. Both come through the Go module proxy. */

const ROOT = new URL('../..', import.meta.url).pathname;
const GO_MODULE = join(ROOT, 'test/istio');

const hasGo = noGo() === null;

let folder = '';
let kubeconform = '';

beforeAll(() => {
  if (!hasGo) return;
  folder = mkdtempSync(join(tmpdir(), 'cw-crds-'));
  kubeconform = join(folder, 'kubeconform');
  const go = (...args: string[]) =>
    execFileSync('nice', ['-n', '19', 'go', ...args], { cwd: GO_MODULE, encoding: 'utf8' });
  go('build', '-p', '1', '-o', kubeconform, 'github.com/yannh/kubeconform/cmd/kubeconform');
  const { Dir } = JSON.parse(go('mod', 'download', '-json', 'istio.io/api')) as { Dir: string };
  writeSchemas(readFileSync(join(Dir, 'kubernetes/customresourcedefinitions.gen.yaml'), 'utf8'), folder);
}, 600_000);

afterAll(() => {
  if (folder !== '') rmSync(folder, { recursive: true, force: true });
});

interface Definition {
  spec: { names: { kind: string }; versions: { name: string; schema: { openAPIV3Schema: Schema } }[] };
}
type Schema = { properties?: Record<string, Schema>; items?: Schema; [key: string]: unknown };

/** One JSON Schema for each kind and version, closed: Kubernetes itself would silently drop what it does not know. */
function writeSchemas(text: string, into: string): void {
  mkdirSync(join(into, 'schemas'));
  for (const document of parseAllDocuments(text)) {
    const definition = document.toJS() as Definition | null;
    for (const { name, schema } of definition?.spec.versions ?? []) {
      const { openAPIV3Schema: root } = schema;
      const file = `${definition?.spec.names.kind.toLowerCase()}_${name}.json`;
      const whole = {
        ...closed(root),
        properties: { ...closed(root).properties, apiVersion: {}, kind: {}, metadata: {} },
      };
      writeFileSync(join(into, 'schemas', file), JSON.stringify(whole));
    }
  }
}

function closed(schema: Schema): Schema {
  const result: Schema = { ...schema };
  if (schema.properties) {
    result.properties = Object.fromEntries(
      Object.entries(schema.properties).map(([key, value]) => [key, closed(value)]),
    );
    if (schema['x-kubernetes-preserve-unknown-fields'] !== true && schema.additionalProperties === undefined) {
      result.additionalProperties = false;
    }
  }
  if (schema.items) result.items = closed(schema.items);
  for (const word of ['anyOf', 'oneOf', 'allOf'] as const) delete result[`x-${word}`];
  return result;
}

function judge(text: string): { status: number | null; said: string } {
  const path = join(folder, 'resources.yaml');
  writeFileSync(path, text);
  const location = `${join(folder, 'schemas')}/{{ .ResourceKind }}_{{ .ResourceAPIVersion }}.json`;
  const { status, stdout, stderr } = spawnSync(kubeconform, ['-summary', '-schema-location', location, path], {
    encoding: 'utf8',
  });
  return { status, said: stdout + stderr };
}

const rendered = (api: PluginApi) => {
  const config = parse(readFileSync(join(ROOT, 'harness/demo/bookinfo.yaml'), 'utf8')) as CausewayConfig;
  config.faults = [{ name: 'drill', lane: 'drill', services: ['ratings'], abort: 503 }];
  const module = { url: 'oci://registry.example/causeway:1', sha256: 'a'.repeat(64) };
  return renderIstio(resolveMesh(config), resolveIstio(config.istio, module, api)).flatMap((file) => file.resources);
};

describe.skipIf(!hasGo)("Istio's own definitions", () => {
  it.each(['envoyfilter', 'trafficextension', 'wasmplugin'] as const)('accept what is rendered for %s', (api) => {
    const resources = rendered(api);
    const { status, said } = judge(yamlOf(resources));
    expect([status, said]).toEqual([0, expect.stringContaining(`Valid: ${resources.length}, Invalid: 0, Errors: 0`)]);
  });

  it('refuse a field that they do not have, so that the above can fail', () => {
    const [first] = rendered('envoyfilter');
    const { status, said } = judge(yamlOf([{ ...first, spec: { ...first?.spec, misspelt: true } }]));
    expect(status).toBe(1);
    expect(said).toContain('misspelt');
  });
});
