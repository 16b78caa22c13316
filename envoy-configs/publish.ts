/** `npx tsx envoy-configs/publish.ts`: writes the files of published.ts; `--check` only says which are stale. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { published } from './published.ts';

const ROOT = join(import.meta.dirname, '..');

for (const { path, text } of published(ROOT)) {
  const full = join(ROOT, path);
  if (existsSync(full) && same(path, readFileSync(full, 'utf8'), text)) continue;
  if (process.argv.includes('--check')) {
    process.stderr.write(`${path} is stale: run "npx tsx envoy-configs/publish.ts"\n`);
    process.exitCode = 1;
    continue;
  }
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, text);
  process.stdout.write(`${path}\n`);
}

/** The formatter lays JSON out in its own way; what it says is what counts. */
function same(path: string, found: string, wanted: string): boolean {
  return path.endsWith('.json')
    ? JSON.stringify(JSON.parse(found)) === JSON.stringify(JSON.parse(wanted))
    : found === wanted;
}
