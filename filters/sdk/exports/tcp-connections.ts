/** For plugins that let connections through or not and look at no byte of them. */
import { FilterStatus } from '../abi/types';
import { enter, leave } from '../callback';
import { TcpStream } from '../context';
import { streamOf } from '../registry';

export function proxy_on_new_connection(id: u32): i32 {
  enter();
  const stream = streamOf(id);
  const status = stream !== null ? changetype<TcpStream>(stream).onNewConnection() : FilterStatus.Continue;
  leave();
  return status;
}
