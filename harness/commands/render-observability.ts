import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { renderObservability } from '../../envoy-configs/observability/render.ts';
import type { GlobalOptions } from '../cli/options.ts';
import type { Output } from '../cli/output.ts';

/** `causeway render observability`: what Prometheus and Grafana need; the same for every mesh. */
export async function renderObservabilityCommand(
  options: GlobalOptions & { readonly out: string },
  output: Output,
): Promise<void> {
  const folder = resolve(options.out);
  mkdirSync(folder, { recursive: true });
  const files = renderObservability().map(({ path, text }) => {
    writeFileSync(join(folder, path), text);
    return join(folder, path);
  });
  output.result(`${files.length} files in ${folder}`, { folder, files });
}
