import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { yamlOf } from '../../envoy-configs/istio/kube.ts';
import { ociImage, sha256 } from '../../envoy-configs/istio/oci.ts';
import { type PluginApi, resolveIstio } from '../../envoy-configs/istio/options.ts';
import { renderIstio } from '../../envoy-configs/istio/render.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import { parseConfig } from '../../harness/config/load.ts';
import { meshFile } from '../../harness/demo/run.ts';
import { built, withDev2 } from '../e2e/story-stage.ts';
import { istioRig, runRig } from './control-plane.ts';

/** What istioctl and istio-agent's own code say of what is rendered. */

let folder = '';

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cw-istio-'));
  await istioRig();
}, 30 * 60_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(api: PluginApi, damage: (text: string) => string = (text) => text): string[] {
  const text = withDev2(readFileSync(meshFile(), 'utf8'));
  const config = parseConfig(text, 'bookinfo.yaml');
  const module = { url: 'oci://registry.example/causeway:1', sha256: 'a'.repeat(64) };
  return renderIstio(resolveMesh(config), resolveIstio(config.istio, module, api)).flatMap(({ name, resources }) => {
    // ConfigMaps are Kubernetes' own.
    if (resources.length === 0) return [];
    const path = join(folder, `${name}.yaml`);
    writeFileSync(path, damage(yamlOf(resources)));
    return path;
  });
}

/** Said of every EnvoyFilter whatever is in it. */
const OF_ANY_ENVOY_FILTER = /^Schema validation warning: EnvoyFilter exposes internal implementation details/;

/** Every other message counts as an error, a warning too: a field that is misspelt in an EnvoyFilter is no more to Istio. */
async function analyze(paths: readonly string[]): Promise<string[]> {
  const said = await runRig('istioctl', 'analyze', '--use-kube=false', '-o', 'json', ...paths);
  const messages = (JSON.parse(said) ?? []) as { code: string; message: string; origin: string }[];
  return messages
    .filter(({ message }) => !OF_ANY_ENVOY_FILTER.test(message) || message.includes('unknown field'))
    .map(({ code, message, origin }) => `${code} ${origin}: ${message}`);
}

describe.each(['envoyfilter', 'trafficextension', 'wasmplugin'] as const)('rendered with %s', (api) => {
  it('is valid to istioctl', async () => {
    const said = await runRig('istioctl', 'validate', ...write(api).flatMap((path) => ['-f', path]));
    expect(said).not.toMatch(/error/i);
  });

  it('has nothing that istioctl analyze would say', async () => {
    expect(await analyze(write(api))).toEqual([]);
  });
});

it('is told by analyze when a typed configuration has a field that Envoy has not', async () => {
  const paths = write('envoyfilter', (text) => text.replaceAll('failure_policy:', 'failure_polizy:'));
  const said = await analyze(paths);
  expect(said.join('\n')).toMatch(/failure_polizy/);
});

describe('the image', () => {
  it('is fetched by istio-agent’s own code, with the digest that the resources name', async () => {
    const module = readFileSync(built('causeway.wasm'));
    const image = ociImage(module, 'test');
    const layout = join(folder, 'layout');
    for (const [path, bytes] of image.files) {
      mkdirSync(dirname(join(layout, path)), { recursive: true });
      writeFileSync(join(layout, path), bytes);
    }
    // Istio's own log lines come first.
    const said = (await runRig('fetch', layout)).trimEnd().split('\n').at(-1) ?? '';
    const fetched = JSON.parse(said) as { manifest: string; module: string; bytes: number };
    expect(fetched).toEqual({ manifest: image.manifestSha256, module: sha256(module), bytes: module.length });
  });
});
