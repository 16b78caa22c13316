/** Acting on the stream of the effective context. */
import {
  proxy_close_stream,
  proxy_continue_stream,
  proxy_send_local_response,
  proxy_set_effective_context,
} from './abi/imports';
import { Status, StreamType } from './abi/types';
import { PairWriter } from './pairs';
import { EMPTY, lenOf, ptrOf, Slice } from './slice';

/** For `sendLocalResponse`: not a gRPC answer. */
export const NO_GRPC_STATUS: i32 = -1;

/**
 * Answers the request from here; afterwards the callback must stop the iteration. The answer runs through the response
 * filters once the callback has returned. `details` shows as `%RESPONSE_CODE_DETAILS%`; for a gRPC request Envoy turns
 * the answer into trailers-only with `grpcStatus` (or one that it derives from `status`).
 */
export function sendLocalResponse(
  status: u32,
  details: Slice,
  body: Slice,
  headers: PairWriter | null,
  grpcStatus: i32 = NO_GRPC_STATUS,
): Status {
  const pairs = headers === null ? EMPTY : headers.encode();
  return proxy_send_local_response(
    status,
    ptrOf(details),
    lenOf(details),
    ptrOf(body),
    lenOf(body),
    ptrOf(pairs),
    lenOf(pairs),
    grpcStatus,
  );
}

/** Resumes a request that a callback had stopped. */
export function continueRequest(): Status {
  return proxy_continue_stream(StreamType.HttpRequest);
}

export function continueResponse(): Status {
  return proxy_continue_stream(StreamType.HttpResponse);
}

/** Resets an HTTP stream, or closes a TCP connection (`Downstream`, `Upstream`) after flushing. */
export function closeStream(type: StreamType): Status {
  return proxy_close_stream(type);
}

/** Makes the following host calls act on another context; go back to the callback's own before returning. */
export function setEffectiveContext(contextId: u32): Status {
  return proxy_set_effective_context(contextId);
}
