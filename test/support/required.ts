import { spawnSync } from 'node:child_process';

/**
 * Why tests that need `name` cannot run here, or null: `missing`, as it came. Where `CAUSEWAY_REQUIRE` (names with commas between them)
 * has `name` a missing thing is a failure; elsewhere it is one loud line, and the tests count as skipped.
 */
export function skipWithout(name: string, missing: string | null): string | null {
  if (missing === null) return null;
  const required = (process.env.CAUSEWAY_REQUIRE ?? '').split(',').map((word) => word.trim());
  if (required.includes(name)) throw new Error(`CAUSEWAY_REQUIRE names ${name}, but: ${missing}`);
  console.warn(`\n*** SKIPPED, for there is no ${name} here: ${missing} ***\n`);
  return missing;
}

/** Null where `command` runs, else what to do about it. */
export function notInstalled([program = '', ...args]: readonly string[], advice: string): string | null {
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0 ? null : `${program} does not run; ${advice}`;
}

export const noGo = (): string | null => skipWithout('go', notInstalled(['go', 'version'], 'install Go'));
export const noPromtool = (): string | null =>
  skipWithout('promtool', notInstalled(['promtool', '--version'], 'apt-get install prometheus'));
