import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const PLACES = [process.env.CHROMIUM ?? '', '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

const found = PLACES.find((path) => path !== '' && existsSync(path));

/**
 * Why tests in a browser cannot run here, or null. Where `CAUSEWAY_REQUIRE` names chromium a missing one is a failure;
 * elsewhere the tests are skipped.
 */
export const browserMissing: string | null = (() => {
  if (found !== undefined) return null;
  const required = (process.env.CAUSEWAY_REQUIRE ?? '').split(',').map((word) => word.trim());
  if (required.includes('chromium')) throw new Error('CAUSEWAY_REQUIRE names chromium, but there is none');
  return 'no chromium';
})();

export function openBrowser(): Promise<Browser> {
  // A container's root has no user namespaces for the sandbox.
  return chromium.launch({ executablePath: found ?? '', args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] });
}
