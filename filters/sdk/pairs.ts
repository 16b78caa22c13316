/**
 * The ABI's encoding of a header map:
 *
 *   u32 count | count x (u32 name size, u32 value size) | count x (name, 0, value, 0)      little endian
 */
import { allocate } from './arena';
import { EMPTY, lenOf, NONE, ptrOf, Slice, slice } from './slice';

const WORD: i32 = 4;
const SIZES: i32 = 8;

/** Reads an encoded map. A malformed one reads as far as it is whole, never past its end. */
export class PairReader {
  private bytes: Slice = EMPTY;
  private count: i32 = 0;
  private index: i32 = 0;
  private offset: i32 = 0;
  name: Slice = NONE;
  value: Slice = NONE;

  /** Starts over at the first pair of `bytes`; answers this reader. */
  over(bytes: Slice): PairReader {
    const length = lenOf(bytes);
    const claimed = length >= WORD ? load<u32>(ptrOf(bytes)) : 0;
    this.bytes = bytes;
    this.count = min<u32>(claimed, (max(length - WORD, 0) / SIZES) as u32) as i32;
    this.index = 0;
    this.offset = WORD + this.count * SIZES;
    return this;
  }

  /** Moves to the next pair, then in `name` and `value`; false after the last. */
  next(): bool {
    if (this.index >= this.count) return false;
    const sizes = ptrOf(this.bytes) + WORD + this.index * SIZES;
    const left = (lenOf(this.bytes) - this.offset) as i64;
    const nameSize = load<u32>(sizes) as i64;
    const valueSize = load<u32>(sizes, 4) as i64;
    if (nameSize + valueSize + 2 > left) {
      this.index = this.count;
      return false;
    }
    const start = ptrOf(this.bytes) + this.offset;
    this.name = slice(start, nameSize as usize);
    this.value = slice(start + (nameSize as usize) + 1, valueSize as usize);
    this.offset += (nameSize + valueSize + 2) as i32;
    this.index++;
    return true;
  }
}

/** Collects pairs for the host. Holds slices, not copies: `encode` before their bytes go. Reusable after `clear`. */
export class PairWriter {
  private slices: StaticArray<u64>;
  private count: i32 = 0;

  constructor(readonly capacity: i32 = 32) {
    this.slices = new StaticArray<u64>(capacity * 2);
  }

  clear(): PairWriter {
    this.count = 0;
    return this;
  }

  /** Adds a pair; one past `capacity` is dropped. Answers this writer. */
  add(name: Slice, value: Slice): PairWriter {
    if (this.count < this.capacity) {
      this.slices[this.count * 2] = name;
      this.slices[this.count * 2 + 1] = value;
      this.count++;
    }
    return this;
  }

  /** The encoded map, in the arena; `EMPTY` when it does not fit there. */
  encode(): Slice {
    let size = WORD + this.count * SIZES;
    for (let i = 0; i < this.count * 2; i++) size += lenOf(this.slices[i]) + 1;
    const start = allocate(size);
    if (start === 0) return EMPTY;
    store<u32>(start, this.count);
    let at = start + WORD + this.count * SIZES;
    for (let i = 0; i < this.count * 2; i++) {
      const part = this.slices[i];
      const length = lenOf(part);
      store<u32>(start + WORD + i * WORD, length);
      memory.copy(at, ptrOf(part), length);
      store<u8>(at + length, 0);
      at += length + 1;
    }
    return slice(start, size);
  }
}
