import { FilterStatus } from '../abi/types';
import { enter, leave } from '../callback';
import { TcpStream } from '../context';
import { streamOf } from '../registry';

export * from './tcp-connections';

export function proxy_on_downstream_data(id: u32, size: u32, endOfStream: u32): i32 {
  enter();
  const stream = streamOf(id);
  const status =
    stream !== null ? changetype<TcpStream>(stream).onDownstreamData(size, endOfStream !== 0) : FilterStatus.Continue;
  leave();
  return status;
}

export function proxy_on_upstream_data(id: u32, size: u32, endOfStream: u32): i32 {
  enter();
  const stream = streamOf(id);
  const status =
    stream !== null ? changetype<TcpStream>(stream).onUpstreamData(size, endOfStream !== 0) : FilterStatus.Continue;
  leave();
  return status;
}

export function proxy_on_downstream_connection_close(id: u32, by: i32): void {
  enter();
  const stream = streamOf(id);
  if (stream !== null) changetype<TcpStream>(stream).onDownstreamClose(by);
  leave();
}

export function proxy_on_upstream_connection_close(id: u32, by: i32): void {
  enter();
  const stream = streamOf(id);
  if (stream !== null) changetype<TcpStream>(stream).onUpstreamClose(by);
  leave();
}
