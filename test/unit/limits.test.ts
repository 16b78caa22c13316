import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { NodePlan } from '../../harness/drivers/driver.ts';
import { ensureInotify, inotifyNeeded } from '../../harness/drivers/limits.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'limits-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const plans = Array.from({ length: 20 }, (_, n) => ({
  node: { id: `n${n}`, files: Object.fromEntries(['bootstrap.json', 'a', 'b', 'c'].map((name) => [name, ''])) },
})) as unknown as NodePlan[];

it('counts one for each file that an Envoy follows', () => {
  expect(inotifyNeeded(plans)).toBe(60);
});

it('raises a limit that is too low and says so', () => {
  const path = join(folder, 'limit');
  const lines: string[] = [];
  writeFileSync(path, '128\n');
  ensureInotify(plans, (line) => lines.push(line), path);
  expect(readFileSync(path, 'utf8')).toBe('1024');
  expect(lines).toEqual([expect.stringContaining('from 128 to 1024')]);
  ensureInotify(plans, (line) => lines.push(line), path);
  expect(lines.length).toBe(1);
});

it('names limit, finding and cure where it may not raise it', () => {
  // A file of the kernel that holds a number and that nobody, root included, can write.
  const path = '/proc/sys/kernel/random/entropy_avail';
  const many = Array.from({ length: 100 }, () => plans).flat();
  expect(() => ensureInotify(many, () => {}, path)).toThrow(
    /max_user_instances: found \d+, expected at least 6096.*sysctl/,
  );
});

it('asks nothing where there is no such limit', () => {
  expect(() => ensureInotify(plans, () => {}, join(folder, 'none'))).not.toThrow();
});
