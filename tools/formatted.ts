import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');

/** JSON as the repository's formatter leaves it at `path` (below the root), so that formatting makes no generated file stale. */
export function formatted(path: string, text: string): string {
  const biome = join(ROOT, 'node_modules/.bin/biome');
  const { status, stdout, stderr } = spawnSync(biome, ['format', `--stdin-file-path=${path}`], {
    cwd: ROOT,
    encoding: 'utf8',
    input: text,
    timeout: 30_000,
  });
  if (status !== 0) throw new Error(`${path}: the formatter failed: ${stderr}`);
  return stdout;
}
