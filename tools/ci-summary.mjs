/**
 * The last line of .ci/run, from what the runners wrote: as-pect's and vitest's reports under build/reports.
 * A failed step without a failed test (lint, a compile error, a missing report) counts as one failure.
 */
import { readFileSync } from 'node:fs';

const failedStep = process.argv[2] !== '0';
let passed = 0;
let failed = 0;
let skipped = 0;

const vitest = read('build/reports/vitest.json');
if (vitest !== null) {
  const report = JSON.parse(vitest);
  passed += report.numPassedTests;
  failed += report.numFailedTests;
  skipped += report.numPendingTests + (report.numTodoTests ?? 0);
}

const specs = read('build/reports/specs.txt');
if (specs !== null) {
  const [, good, all] = /\[Tests\]: *(\d+) *\/ *(\d+)/.exec(plain(specs)) ?? [null, 0, 1];
  passed += Number(good);
  failed += Number(all) - Number(good);
}

if (failed === 0 && (failedStep || vitest === null || specs === null)) failed = 1;
process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`);
process.exitCode = failed === 0 ? 0 : 1;

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

/** Without terminal colours. */
function plain(text) {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what a colour starts with
  return text.replace(/\u001b\[[0-9;]*m/g, '');
}
