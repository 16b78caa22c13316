/**
 * Places where host functions put what they return. Static, because a callback runs to its end before the next one
 * starts and every caller reads them right after its call:
 *
 *   OUT + 0   pointer | id | level | token | 64-bit value (8 bytes)
 *   OUT + 8   size
 *   OUT + 12  compare-and-set number
 */
import { EMPTY, Slice, slice } from '../slice';

export const OUT: usize = memory.data(16, 8);
export const OUT_SIZE: usize = OUT + 8;
export const OUT_CAS: usize = OUT + 12;

/** The byte range that the last host call returned. A host may answer a null pointer for no bytes. */
export function returned(): Slice {
  const size = load<u32>(OUT_SIZE);
  return size === 0 ? EMPTY : slice(load<u32>(OUT), size);
}
