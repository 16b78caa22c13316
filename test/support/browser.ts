import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';
import { skipWithout } from './required.ts';

const PLACES = [process.env.CHROMIUM ?? '', '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

const found = PLACES.find((path) => path !== '' && existsSync(path));

/** Why tests in a browser cannot run here, or null; see {@link skipWithout}. */
export const browserMissing = skipWithout(
  'chromium',
  found === undefined ? 'apt-get install chromium, or set CHROMIUM' : null,
);

export function openBrowser(): Promise<Browser> {
  // A container's root has no user namespaces for the sandbox.
  return chromium.launch({ executablePath: found ?? '', args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] });
}
