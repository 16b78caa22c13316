/** Bodies, TCP data, configurations and the answers of HTTP calls. */
import { proxy_get_buffer_bytes, proxy_get_buffer_status, proxy_set_buffer_bytes } from './abi/imports';
import { OUT, OUT_SIZE, returned } from './abi/out';
import { BufferType, Status } from './abi/types';
import { mark, rewind } from './arena';
import { EMPTY, lenOf, NONE, ptrOf, Slice } from './slice';

/** Up to `length` bytes from `start`, copied into the arena: read large bodies in pieces. `NONE` when out of phase. */
export function getBuffer(type: BufferType, start: usize, length: usize): Slice {
  if (proxy_get_buffer_bytes(type, start, length, OUT, OUT_SIZE) !== Status.Ok) return NONE;
  return returned();
}

/** Bytes that the host holds for this buffer right now. */
export function bufferSize(type: BufferType): usize {
  return proxy_get_buffer_status(type, OUT, OUT_SIZE) === Status.Ok ? load<u32>(OUT) : 0;
}

/** Replaces `length` bytes from `start` by `bytes`; `start` 0 and a `length` of the whole replaces everything. */
export function setBuffer(type: BufferType, start: usize, length: usize, bytes: Slice): Status {
  return proxy_set_buffer_bytes(type, start, length, ptrOf(bytes), lenOf(bytes));
}

export function prependBuffer(type: BufferType, bytes: Slice): Status {
  return setBuffer(type, 0, 0, bytes);
}

export function appendBuffer(type: BufferType, bytes: Slice): Status {
  return setBuffer(type, bufferSize(type), 0, bytes);
}

export function clearBuffer(type: BufferType): Status {
  return setBuffer(type, 0, bufferSize(type), EMPTY);
}

/** Takes the bytes of a buffer piece by piece. */
export abstract class PieceReader {
  /** `piece` is good until this returns. False ends the reading. */
  abstract piece(piece: Slice): bool;

  /** Reads `size` bytes in pieces of 64 KiB or less, through the same 64 KiB of the arena. False when ended early. */
  read(type: BufferType, size: usize): bool {
    for (let at: usize = 0; at < size; ) {
      const start = mark();
      const bytes = getBuffer(type, at, min(size - at, PIECE));
      const length = lenOf(bytes);
      const more = length > 0 && this.piece(bytes);
      rewind(start);
      if (!more) return false;
      at += length;
    }
    return true;
  }
}

const PIECE: usize = 64 * 1024;
