import type { ContextBuffer } from '../context.ts';
import { Misuse } from '../errors.ts';
import type { HostCall, HostFunctions } from '../host-call.ts';
import { BufferType, nameIn, Status } from '../status.ts';

function find(call: HostCall, number: number): ContextBuffer {
  const type = call.choice(BufferType, number);
  const buffer = call.context.buffer(type);
  if (buffer === undefined) throw new Misuse(Status.NotFound, `no ${nameIn(BufferType, type)} in this phase`);
  return buffer;
}

export const bufferFunctions: HostFunctions = {
  proxy_get_buffer_bytes(call, type: number, start: number, length: number, pointerAt: number, sizeAt: number) {
    const { data } = find(call, type);
    call.number(start);
    call.number(length);
    if (start + length > 0xffffffff) throw new Misuse(Status.BadArgument, 'start + length overflows');
    return call.give(data.slice(start, start + length), pointerAt, sizeAt);
  },

  proxy_get_buffer_status(call, type: number, lengthAt: number, flagsAt: number) {
    const { data } = find(call, type);
    call.giveU32(0, flagsAt);
    return call.giveU32(data.length, lengthAt);
  },

  /** Start 0 and length 0 prepend, start 0 and all the length replace, start at the end appends; else refused. */
  proxy_set_buffer_bytes(call, type: number, start: number, length: number, pointer: number, size: number) {
    const buffer = find(call, type);
    call.number(start);
    call.number(length);
    const data = call.bytes(pointer, size);
    if (!buffer.mutable) throw new Misuse(Status.BadArgument, 'this buffer is read only');
    if (start === 0 && length === 0) buffer.data = data + buffer.data;
    else if (start === 0 && length >= buffer.data.length) buffer.data = data;
    else if (start > 0 && start >= buffer.data.length) buffer.data += data;
    else throw new Misuse(Status.BadArgument, 'Envoy replaces a whole buffer only, or adds at one of its ends');
    return Status.Ok;
  },
};
