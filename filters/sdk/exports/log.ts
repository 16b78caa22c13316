import { enter, leave } from '../callback';
import { HttpStream, TcpStream } from '../context';
import { rootOf, streamOf } from '../registry';

export function proxy_on_log(id: u32): void {
  enter();
  const stream = streamOf(id);
  if (stream instanceof HttpStream) (stream as HttpStream).onLog();
  else if (stream instanceof TcpStream) (stream as TcpStream).onLog();
  else if (stream === null) {
    const root = rootOf(id);
    if (root !== null) root.onLog();
  }
  leave();
}
