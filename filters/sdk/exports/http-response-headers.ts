import { FilterHeadersStatus } from '../abi/types';
import { enter, leave } from '../callback';
import { HttpStream } from '../context';
import { streamOf } from '../registry';

export function proxy_on_response_headers(id: u32, count: u32, endOfStream: u32): i32 {
  enter();
  const stream = streamOf(id);
  const status =
    stream !== null
      ? changetype<HttpStream>(stream).onResponseHeaders(count, endOfStream !== 0)
      : FilterHeadersStatus.Continue;
  leave();
  return status;
}
