import { enter, leave } from '../callback';
import { rootOf } from '../registry';

export function proxy_on_queue_ready(rootId: u32, queue: u32): void {
  enter();
  const root = rootOf(rootId);
  if (root !== null) root.onQueueReady(queue);
  leave();
}
