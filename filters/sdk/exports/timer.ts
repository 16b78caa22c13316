import { enter, leave } from '../callback';
import { collectOnTick } from '../garbage';
import { refreshLogLevel } from '../log';
import { flushMetrics } from '../metrics';
import { rootOf } from '../registry';

export function proxy_on_tick(rootId: u32): void {
  enter();
  const root = rootOf(rootId);
  if (root !== null) root.onTick();
  if (root === null || root.housekeeping) {
    refreshLogLevel();
    flushMetrics();
  }
  leave();
  collectOnTick();
}
