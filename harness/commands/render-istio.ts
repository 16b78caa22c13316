import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ociImage, sha256 } from '../../envoy-configs/istio/oci.ts';
import {
  DEFAULT_MODULE,
  type ModuleReference,
  type PluginApi,
  resolveIstio,
} from '../../envoy-configs/istio/options.ts';
import { type IstioFile, NotOnIstio, renderIstio, yamlOfFile } from '../../envoy-configs/istio/render.ts';
import { istioUninstall } from '../../envoy-configs/istio/uninstall.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import { findAssets } from '../cli/assets.ts';
import { CommandError, EXIT } from '../cli/exit-codes.ts';
import { type GlobalOptions, resolveOptions } from '../cli/options.ts';
import type { Output } from '../cli/output.ts';
import { loadConfig } from '../config/load.ts';

export interface RenderIstioOptions extends GlobalOptions {
  readonly out: string;
  readonly api: PluginApi;
  /** Instead of the file's `istio.module`. */
  readonly module?: string;
  /** Say what to delete, in order, and write nothing. */
  readonly uninstall?: boolean;
}

/** `causeway render istio`: writes the resources for `kubectl apply -f`, and applies nothing. */
export async function renderIstioCommand(options: RenderIstioOptions, output: Output): Promise<void> {
  const { config } = loadConfig(options.file);
  const module = moduleReference(options.module ?? config.istio?.module ?? DEFAULT_MODULE, options.wasm);
  const mesh = resolveMesh(config, resolveOptions(options));
  let files: readonly IstioFile[];
  try {
    files = renderIstio(mesh, resolveIstio(config.istio, module, options.api));
  } catch (error) {
    if (error instanceof NotOnIstio) throw new CommandError(EXIT.invalid, `${options.file}: ${error.message}`);
    throw error;
  }
  if (options.uninstall) {
    const steps = istioUninstall(files, mesh);
    output.result(steps.flatMap(({ what, commands }) => [`# ${what}`, ...commands]).join('\n'), { steps });
    return;
  }
  const folder = resolve(options.out);
  mkdirSync(folder, { recursive: true });
  const written = files.map((file) => {
    const path = join(folder, `${file.name}.yaml`);
    writeFileSync(path, yamlOfFile(file));
    return path;
  });
  const count = files.reduce((sum, { resources, configMaps = [] }) => sum + resources.length + configMaps.length, 0);
  output.result(
    `${count} resources in ${written.length} files in ${folder}\nmodule ${module.url} sha256 ${module.sha256}`,
    {
      folder,
      files: written,
      module,
    },
  );
}

/** The reference with the digest that its kind is checked by, of the module that this build has. */
function moduleReference(url: string, wasm: string | undefined): ModuleReference {
  const module = readFileSync(findAssets(wasm).wasmPath);
  const version = process.env.CAUSEWAY_VERSION ?? 'development';
  return { url, sha256: url.startsWith('oci://') ? ociImage(module, version).manifestSha256 : sha256(module) };
}
