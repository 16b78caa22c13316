import { readFileSync, writeFileSync } from 'node:fs';
import type { NodePlan, Progress } from './driver.ts';

const INOTIFY_INSTANCES = '/proc/sys/fs/inotify/max_user_instances';

/** Left for everything else of this user: editors, desktops, other meshes. */
const OTHERS = 96;

/**
 * Envoy takes one inotify instance for each file subscription, and aborts when the kernel gives it none; Linux allows a
 * user 128 by default. Raises the limit where we may (it lasts until the next boot), else says how to.
 */
export function ensureInotify(plans: readonly NodePlan[], progress: Progress, path = INOTIFY_INSTANCES): void {
  const limit = readLimit(path);
  const needed = inotifyNeeded(plans) + OTHERS;
  if (limit === null || limit >= needed) return;
  const raised = Math.max(1_024, 2 ** Math.ceil(Math.log2(needed)));
  try {
    writeFileSync(path, String(raised));
    progress(
      `raised fs.inotify.max_user_instances from ${limit} to ${raised}: Envoy needs one for each file that it follows`,
    );
  } catch {
    throw new Error(
      `fs.inotify.max_user_instances: found ${limit}, expected at least ${needed} for ${plans.length} Envoys, which take one for each file that they follow. Run: sudo sysctl fs.inotify.max_user_instances=${raised}`,
    );
  }
}

/** One for each file but the bootstrap, which Envoy reads once. */
export function inotifyNeeded(plans: readonly NodePlan[]): number {
  return plans.reduce((sum, { node }) => sum + Object.keys(node.files).length - 1, 0);
}

/** Null where there is no such limit. */
function readLimit(path: string): number | null {
  try {
    return Number(readFileSync(path, 'utf8'));
  } catch {
    return null;
  }
}
