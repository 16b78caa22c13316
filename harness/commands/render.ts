import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { renderMesh } from '../../envoy-configs/render.ts';
import type { RenderTarget } from '../../envoy-configs/rendered.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import type { DriverName } from '../apply/record.ts';
import { findAssets } from '../cli/assets.ts';
import { containerPrefix } from '../cli/drivers.ts';
import { type GlobalOptions, resolveOptions } from '../cli/options.ts';
import type { Output } from '../cli/output.ts';
import { loadConfig } from '../config/load.ts';
import { composeFile } from '../drivers/compose-file.ts';
import { observabilityFiles } from '../drivers/compose-observability.ts';
import { planOf } from '../drivers/driver.ts';
import { StateFolder } from '../drivers/state.ts';
import { renderUninstall } from './render-uninstall.ts';

export interface RenderOptions extends GlobalOptions {
  readonly driver: DriverName;
  readonly out: string;
  /** What takes the suite out again, step by step, instead. */
  readonly uninstall?: boolean;
}

/** `causeway render`: writes what `up` would run into a folder, one directory for each node, and runs nothing. */
export async function render(options: RenderOptions, output: Output): Promise<void> {
  const { config } = loadConfig(options.file);
  const folder = resolve(options.out);
  const prefix = containerPrefix(options.driver, options.network);
  const mesh = resolveMesh(config, resolveOptions(options, prefix));
  const state = new StateFolder(folder);
  const target: RenderTarget = state.target(resolve(options.wasm ?? join(folder, 'causeway.wasm')));
  if (options.uninstall) {
    renderUninstall(mesh, target, folder, output);
    return;
  }
  const nodes = renderMesh(mesh, target);
  const written: string[] = [];
  for (const node of nodes) {
    for (const [relative, text] of Object.entries(node.files)) {
      const path = join(node.dir, relative);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
      written.push(path);
    }
  }
  if (prefix !== undefined) {
    const path = join(folder, 'compose.yaml');
    const { wasmPath } = findAssets(options.wasm);
    const plans = planOf(mesh, nodes);
    const files = {
      [path]: composeFile(plans, { state, wasmPath, prefix, user: userOf() }),
      ...observabilityFiles(plans, state),
    };
    for (const [file, text] of Object.entries(files)) {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
      written.push(file);
    }
  }
  const summary = stringify(Object.fromEntries(nodes.map((node) => [node.id, Object.keys(node.files).length])));
  output.result(`${written.length} files in ${folder}\n${summary}`, { folder, files: written });
}

function userOf(): string {
  return `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`;
}
