/**
 * From a name to its number, by open addressing in linear memory: a look-up costs one hash and, nearly always, one
 * comparison, with 10 names as with 1,000. Filled at configure time, read by requests.
 *
 *   slot: hash u64 | name Slice (u64) | number i32, 4 bytes unused        24 bytes, at most half of the slots used
 */
import { byteAt, lenOf, lower, mix64, ptrOf, Slice } from 'proxy-wasm-assemblyscript-sdk/slice';

const SLOT: usize = 24;
/** Result of a look-up that found nothing. */
export const UNKNOWN: i32 = -1;

@final
export class NameTable {
  private readonly slots: StaticArray<u8>;
  private readonly mask: u32;

  /** For up to `capacity` names; with `fold`, ASCII letter case does not count. */
  constructor(
    capacity: i32,
    private readonly fold: bool,
  ) {
    let size: u32 = 8;
    while (size < (capacity as u32) * 2) size *= 2;
    this.mask = size - 1;
    this.slots = new StaticArray<u8>((size * (SLOT as u32)) as i32);
  }

  /** Gives `name`, whose bytes are permanent, its number (not negative); a name that is there keeps its first. */
  add(name: Slice, number: i32): void {
    const hash = this.hash(name);
    const at = this.slot(name, hash);
    if (load<u64>(at) !== 0) return;
    store<u64>(at, hash);
    store<u64>(at, name, 8);
    store<i32>(at, number, 16);
  }

  /** The name's number, or `UNKNOWN`. */
  find(name: Slice): i32 {
    const at = this.slot(name, this.hash(name));
    return load<u64>(at) === 0 ? UNKNOWN : load<i32>(at, 16);
  }

  /** Where the name is, or the free slot where it would be: there is always one. */
  private slot(name: Slice, hash: u64): usize {
    const base = changetype<usize>(this.slots);
    let i = (hash as u32) & this.mask;
    while (true) {
      const at = base + (i as usize) * SLOT;
      const found = load<u64>(at);
      if (found === 0 || (found === hash && this.same(load<u64>(at, 8), name))) return at;
      i = (i + 1) & this.mask;
    }
  }

  private same(a: Slice, b: Slice): bool {
    const length = lenOf(a);
    if (length !== lenOf(b)) return false;
    if (!this.fold) return memory.compare(ptrOf(a), ptrOf(b), length) === 0;
    for (let i = 0; i < length; i++) {
      if (lower(byteAt(a, i)) !== lower(byteAt(b, i))) return false;
    }
    return true;
  }

  /** Never 0, which marks a free slot. */
  private hash(name: Slice): u64 {
    let h: u64 = 0xcbf29ce484222325;
    const fold = this.fold;
    for (let i = 0, length = lenOf(name); i < length; i++) {
      const byte = byteAt(name, i);
      h = (h ^ ((fold ? lower(byte) : byte) as u64)) * 0x100000001b3;
    }
    return mix64(h) | 1;
  }
}
