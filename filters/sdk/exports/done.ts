/** Export only where a root context must delay its end; the host then asks for every stream as well. */
import { enter, leave } from '../callback';
import { rootOf } from '../registry';

export function proxy_on_done(id: u32): u32 {
  enter();
  const root = rootOf(id);
  const done = root === null || root.onDone();
  leave();
  return done ? 1 : 0;
}
