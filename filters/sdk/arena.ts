/**
 * Memory for the bytes that the host writes into the module: a bump allocator that is emptied when a top-level
 * callback starts.
 *
 * The host calls the allocator from inside a host call, while the caller may hold the address of a managed object in a
 * temporary. Because the arena never collects garbage, nothing moves or dies under such a call, and a request costs no
 * work of the garbage collector at all.
 *
 *   base                                          base + BLOCK_SIZE
 *   | used by this callback | free                |
 *   overflow chunk -> overflow chunk -> 0          (header: next chunk, 8 bytes)
 *
 * What does not fit into the block goes to overflow chunks, freed at the next reset; `OVERFLOW_LIMIT` bounds them, and
 * past it the host gets a null pointer, which makes its call fail with a status instead of trapping the module.
 */

/** Enough for every header map that Envoy accepts by default (60 KiB) beside a few properties. */
export const BLOCK_SIZE: usize = 128 * 1024;
/** Most bytes that may live in overflow chunks at once. */
export const OVERFLOW_LIMIT: usize = 8 * 1024 * 1024;

const ALIGN_MASK: usize = 7;
const CHUNK_HEADER: usize = 8;

const base: usize = heap.alloc(BLOCK_SIZE);
let top: usize = base;
let chunks: usize = 0;
let overflow: usize = 0;

/** `size` bytes, 8-byte aligned, valid until the next `reset`; 0 when the overflow limit is reached. */
export function allocate(size: usize): usize {
  const start = top;
  // `size` comes from the host: compare without adding, so that a huge value cannot wrap around.
  if (size <= base + BLOCK_SIZE - start) {
    top = min((start + size + ALIGN_MASK) & ~ALIGN_MASK, base + BLOCK_SIZE);
    return start;
  }
  return allocateChunk(size);
}

function allocateChunk(size: usize): usize {
  if (size > OVERFLOW_LIMIT - overflow) return 0;
  const chunk = heap.alloc(size + CHUNK_HEADER);
  store<usize>(chunk, chunks);
  store<usize>(chunk, size, 4);
  chunks = chunk;
  overflow += size;
  return chunk + CHUNK_HEADER;
}

/** Forgets everything. Called when a top-level callback starts, never inside one. */
export function reset(): void {
  top = base;
  while (chunks !== 0) {
    const next = load<usize>(chunks);
    heap.free(chunks);
    chunks = next;
  }
  overflow = 0;
}

/** Where the block stands, for `rewind`. */
export function mark(): usize {
  return top;
}

/**
 * Gives back what was allocated in the block since `mark`, for loops that read one piece after another. What went to
 * overflow chunks stays until the callback ends.
 */
export function rewind(to: usize): void {
  if (to >= base && to <= top) top = to;
}

/** Bytes in use right now, overflow included. */
export function used(): usize {
  return top - base + overflow;
}
