import { readFileSync } from 'node:fs';
import { parse, stringify } from 'yaml';
import { formatted } from '../tools/formatted.ts';
import { DEFAULT_MODULE, resolveIstio } from './istio/options.ts';
import { renderIstio, yamlOfFile } from './istio/render.ts';
import { renderObservability } from './observability/render.ts';
import { renderMesh } from './render.ts';
import type { RenderTarget } from './rendered.ts';
import { resolveMesh } from './resolve.ts';
import { type CausewayConfig, CausewaySchema } from './schema.ts';

/**
 * Files that the sources decide and that are committed, to be read without running anything: the schema of `causeway.yaml`
 * for editors, and what Bookinfo renders to, as YAML, for people. A test holds them current; `make generate` writes them.
 */

/** Paths below the repository's root. */
export const SCHEMA_PATH = 'envoy-configs/schemas/causeway.schema.json';
const BOOKINFO = 'envoy-configs/bookinfo';

/** A gateway and a sidecar that both receives and calls show everything; the others differ in names only. */
const SHOWN = ['gateway', 'reviews-base-1'];

/** As in a container: paths that no machine's layout shows in. */
const TARGET: RenderTarget = {
  wasmPath: '/etc/causeway/causeway.wasm',
  nodeDir: (id) => `/etc/causeway/nodes/${id}`,
  adminSocket: (id) => `/run/causeway/${id}.sock`,
  accessLog: (id) => `/var/log/causeway/${id}.access.log`,
};

/** Every such file with the text it should have. `root` is the repository's. */
export function published(root: string): { path: string; text: string }[] {
  const config = parse(readFileSync(`${root}/${BOOKINFO}/causeway.yaml`, 'utf8')) as CausewayConfig;
  const mesh = resolveMesh(config);
  const nodes = renderMesh(mesh, TARGET).filter(({ id }) => SHOWN.includes(id));
  // By path, so that the text does not change with the module's digest.
  const istio = resolveIstio(config.istio, { url: DEFAULT_MODULE, sha256: '' }, 'envoyfilter');
  const files = [
    { path: SCHEMA_PATH, text: JSON.stringify(CausewaySchema, null, 2) },
    ...nodes.flatMap((node) =>
      Object.entries(node.files).map(([path, text]) => ({
        path: `${BOOKINFO}/rendered/${node.id}/${path.replace(/json$/, 'yaml')}`,
        text: stringify(JSON.parse(text), { aliasDuplicateObjects: false }),
      })),
    ),
    ...renderObservability().map(({ path, text }) => ({ path: `envoy-configs/observability/rendered/${path}`, text })),
    ...renderIstio(mesh, istio).map((file) => ({
      path: `${BOOKINFO}/istio/${file.name}.yaml`,
      text: yamlOfFile(file),
    })),
  ];
  return files.map(({ path, text }) => ({ path, text: path.endsWith('.json') ? formatted(path, text) : text }));
}
