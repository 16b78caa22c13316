import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { rateLimitDescriptors } from '../../envoy-configs/cluster-limits.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import { CommandError, EXIT } from '../cli/exit-codes.ts';
import { type GlobalOptions, resolveOptions } from '../cli/options.ts';
import type { Output } from '../cli/output.ts';
import { loadConfig } from '../config/load.ts';

/** `causeway render ratelimit`: what the reference rate-limit service reads, where `RUNTIME_ROOT` is the folder. */
export async function renderRateLimitCommand(
  options: GlobalOptions & { readonly out: string },
  output: Output,
): Promise<void> {
  const { config } = loadConfig(options.file);
  const mesh = resolveMesh(config, resolveOptions(options));
  if (mesh.ratelimit === null) {
    throw new CommandError(EXIT.invalid, `${options.file}: ratelimit: found none, expected the service's address`);
  }
  const folder = resolve(options.out);
  const file = join(folder, 'config', `${mesh.name}.yaml`);
  mkdirSync(join(folder, 'config'), { recursive: true });
  writeFileSync(file, stringify(rateLimitDescriptors(mesh)));
  output.result(`${file}\nrun the service with RUNTIME_ROOT=${folder} RUNTIME_SUBDIRECTORY= RUNTIME_WATCH_ROOT=false`, {
    folder,
    files: [file],
  });
}
