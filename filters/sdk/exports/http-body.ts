import { FilterDataStatus, FilterTrailersStatus } from '../abi/types';
import { enter, leave } from '../callback';
import { HttpStream } from '../context';
import { streamOf } from '../registry';

export function proxy_on_request_body(id: u32, size: u32, endOfStream: u32): i32 {
  enter();
  const stream = streamOf(id);
  const status =
    stream !== null ? changetype<HttpStream>(stream).onRequestBody(size, endOfStream !== 0) : FilterDataStatus.Continue;
  leave();
  return status;
}

export function proxy_on_response_body(id: u32, size: u32, endOfStream: u32): i32 {
  enter();
  const stream = streamOf(id);
  const status =
    stream !== null
      ? changetype<HttpStream>(stream).onResponseBody(size, endOfStream !== 0)
      : FilterDataStatus.Continue;
  leave();
  return status;
}

export function proxy_on_request_trailers(id: u32, count: u32): i32 {
  enter();
  const stream = streamOf(id);
  const status =
    stream !== null ? changetype<HttpStream>(stream).onRequestTrailers(count) : FilterTrailersStatus.Continue;
  leave();
  return status;
}

export function proxy_on_response_trailers(id: u32, count: u32): i32 {
  enter();
  const stream = streamOf(id);
  const status =
    stream !== null ? changetype<HttpStream>(stream).onResponseTrailers(count) : FilterTrailersStatus.Continue;
  leave();
  return status;
}
