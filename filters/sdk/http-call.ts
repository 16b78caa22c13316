/**
 * HTTP calls out of a root context. An answer can arrive after its root context has been replaced: it is then dropped.
 */
import { proxy_http_call } from './abi/imports';
import { OUT } from './abi/out';
import { BufferType, MapType, Status } from './abi/types';
import { bufferSize, getBuffer } from './buffer';
import { getHeader } from './headers';
import { PairWriter } from './pairs';
import { ascii, EMPTY, lenOf, parseDecimal, ptrOf, Slice } from './slice';

/** Calls that may wait for their answer at once; one more is refused with `Status.InternalFailure`. */
export const MAX_CALLS: i32 = 64;

const STATUS = ascii(':status');

/** What becomes of an answer. Kept by the pending call, so an object may serve many calls. */
export abstract class HttpCallHandler {
  /** `status` is 0 when no answer came (timeout, reset, unknown cluster); `bodySize` bytes can be read by `callBody`. */
  abstract onAnswer(status: u32, bodySize: u32): void;
}

class PendingCall {
  constructor(
    readonly token: u32,
    readonly contextId: u32,
    readonly handler: HttpCallHandler,
  ) {}
}

const pending: Array<PendingCall> = [];

/**
 * Calls `upstream` (a cluster's name) on behalf of the root context `contextId`. `headers` must hold `:method`, `:path`
 * and `:authority`. `Ok` means that `handler` will be called once, unless the context dies first.
 */
export function httpCall(
  contextId: u32,
  upstream: Slice,
  headers: PairWriter,
  body: Slice,
  timeoutMs: u32,
  handler: HttpCallHandler,
): Status {
  if (pending.length >= MAX_CALLS) return Status.InternalFailure;
  const pairs = headers.encode();
  const status = proxy_http_call(
    ptrOf(upstream),
    lenOf(upstream),
    ptrOf(pairs),
    lenOf(pairs),
    ptrOf(body),
    lenOf(body),
    ptrOf(EMPTY),
    0,
    timeoutMs,
    OUT,
  );
  if (status === Status.Ok) pending.push(new PendingCall(load<u32>(OUT), contextId, handler));
  return status;
}

/** Bytes `[start, start + length)` of the answer's body; read large ones in pieces of 64 KiB. */
export function callBody(start: u32, length: u32): Slice {
  return getBuffer(BufferType.HttpCallResponseBody, start, length);
}

export function callBodySize(): u32 {
  return bufferSize(BufferType.HttpCallResponseBody) as u32;
}

/** An answer has come: hands it to its handler, if that one still waits. */
export function answer(contextId: u32, token: u32, headers: u32, bodySize: u32): void {
  for (let i = 0; i < pending.length; i++) {
    const call = pending[i];
    if (call.token !== token || call.contextId !== contextId) continue;
    pending.splice(i, 1);
    const status = headers === 0 ? 0 : parseDecimal(getHeader(MapType.HttpCallResponseHeaders, STATUS));
    call.handler.onAnswer(max<i64>(status, 0) as u32, bodySize);
    return;
  }
}

/** A context has gone: nobody waits for its answers any more. */
export function forgetCalls(contextId: u32): void {
  for (let i = pending.length - 1; i >= 0; i--) {
    if (pending[i].contextId === contextId) pending.splice(i, 1);
  }
}
