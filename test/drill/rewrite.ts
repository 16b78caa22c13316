import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RenderedNode } from '../../envoy-configs/rendered.ts';
import { discoveryFile, resourcesOf } from '../../envoy-configs/xds.ts';
import { writeByRename } from '../../harness/apply/push.ts';

// biome-ignore lint/suspicious/noExplicitAny: Envoy's configurations
export type Resource = any;

/** Rewrites one file of a running proxy as somebody without this project would. */
export async function rewrite(
  { dir }: Pick<RenderedNode, 'dir'>,
  kind: 'cluster' | 'endpoints',
  path: string,
  change: (resource: Resource) => Resource,
): Promise<void> {
  const file = join(dir, path);
  const changed = resourcesOf(readFileSync(file, 'utf8')).map(({ '@type': _, ...resource }) => change(resource));
  await writeByRename(file, discoveryFile(kind, changed));
}
