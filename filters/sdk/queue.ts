/** Shared queues. Unbounded in the host, and registering a name again takes the receiver away from its first owner. */
import {
  proxy_dequeue_shared_queue,
  proxy_enqueue_shared_queue,
  proxy_register_shared_queue,
  proxy_resolve_shared_queue,
} from './abi/imports';
import { OUT, OUT_SIZE, returned } from './abi/out';
import { Status } from './abi/types';
import { lenOf, NONE, ptrOf, Slice } from './slice';

/** No such queue. Real ids start at 1. */
export const NO_QUEUE: u32 = 0;

/** Makes the current root context the queue's receiver; `onQueueReady` follows each message. */
export function registerQueue(name: Slice): u32 {
  return proxy_register_shared_queue(ptrOf(name), lenOf(name), OUT) === Status.Ok ? load<u32>(OUT) : NO_QUEUE;
}

export function resolveQueue(vmId: Slice, name: Slice): u32 {
  const status = proxy_resolve_shared_queue(ptrOf(vmId), lenOf(vmId), ptrOf(name), lenOf(name), OUT);
  return status === Status.Ok ? load<u32>(OUT) : NO_QUEUE;
}

export function enqueue(queue: u32, message: Slice): Status {
  return proxy_enqueue_shared_queue(queue, ptrOf(message), lenOf(message));
}

/** The oldest message, or `NONE` when there is none. */
export function dequeue(queue: u32): Slice {
  return proxy_dequeue_shared_queue(queue, OUT, OUT_SIZE) === Status.Ok ? returned() : NONE;
}
