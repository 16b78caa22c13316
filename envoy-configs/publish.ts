/** `npx tsx envoy-configs/publish.ts`, part of `make generate`: writes the files of published.ts; `--check` only says which are stale. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { published } from './published.ts';

const ROOT = join(import.meta.dirname, '..');

for (const { path, text } of published(ROOT)) {
  const full = join(ROOT, path);
  if (existsSync(full) && readFileSync(full, 'utf8') === text) continue;
  if (process.argv.includes('--check')) {
    process.stderr.write(`${path} is stale: run "make generate"\n`);
    process.exitCode = 1;
    continue;
  }
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, text);
  process.stdout.write(`${path}\n`);
}
