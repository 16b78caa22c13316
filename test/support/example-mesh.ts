import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { Mesh } from '../../envoy-configs/mesh.ts';
import type { RenderTarget } from '../../envoy-configs/rendered.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import type { CausewayConfig } from '../../envoy-configs/schema.ts';

/** Places on no machine, for tests that read what is rendered and start nothing. */
export const TARGET: RenderTarget = {
  wasmPath: '/w/causeway.wasm',
  nodeDir: (id) => `/n/${id}`,
  adminSocket: (id) => `/r/${id}.sock`,
  accessLog: (id) => `/l/${id}.log`,
};

/** The mesh of a `causeway.yaml` after a change that a test makes to it. */
export function exampleMesh(file: string, change: (config: CausewayConfig) => void = () => {}): Mesh {
  const config = parse(readFileSync(file, 'utf8')) as CausewayConfig;
  change(config);
  return resolveMesh(config);
}
