import { lenOf, ptrOf, Slice, slice } from '../slice';

/**
 * Unpacks what `tools/schema-pack.ts` has packed into permanent memory of exactly `length` bytes:
 *
 *   0xxxxxxx                      the character itself
 *   1nnnnnnn dddddddd dddddddd    n + 4 characters once more, from d behind what is written so far
 *
 * For constants that the build has put into the module, not for input: nothing is checked.
 */
export function unpack(packed: Slice, length: i32): Slice {
  const pointer = heap.alloc(length);
  const end = ptrOf(packed) + lenOf(packed);
  let to = pointer;
  for (let from = ptrOf(packed); from < end; from++) {
    const byte = load<u8>(from);
    if (byte < 0x80) {
      store<u8>(to++, byte);
      continue;
    }
    const distance = ((load<u8>(from, 1) as usize) << 8) | (load<u8>(from, 2) as usize);
    from += 2;
    // Byte by byte: a run may repeat characters that it has only just written.
    for (let left = ((byte & 0x7f) as i32) + 4; left > 0; left--, to++) store<u8>(to, load<u8>(to - distance));
  }
  return slice(pointer, length);
}
