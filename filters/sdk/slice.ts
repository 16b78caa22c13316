/**
 * A view of bytes in linear memory as one plain value, so that passing it around allocates nothing.
 *
 *   63            32 31             0
 *   +---------------+---------------+
 *   |    pointer    |    length     |
 *   +---------------+---------------+
 *
 * A slice does not own its bytes. Bytes written by the host live in the arena until the current top-level
 * callback ends (see arena.ts); `ascii` and `persist` make copies that stay for the life of the VM.
 */
export type Slice = u64;

/** No value at all: a missing header, property or key. Different from `EMPTY`, which is a value of no bytes. */
export const NONE: Slice = u64.MAX_VALUE;
/** A present value without bytes. */
export const EMPTY: Slice = 0;

export function slice(pointer: usize, length: usize): Slice {
  return ((pointer as u64) << 32) | (length as u64);
}

export function ptrOf(s: Slice): usize {
  return (s >> 32) as usize;
}

/** Length in bytes; 0 for `NONE`. */
export function lenOf(s: Slice): i32 {
  return s === NONE ? 0 : ((s & 0xffffffff) as i32);
}

export function present(s: Slice): bool {
  return s !== NONE;
}

/** Encodes `text` as UTF-8 into memory that is never freed. For names and constants, at start or configure time. */
export function ascii(text: string): Slice {
  const length = String.UTF8.byteLength(text);
  const pointer = heap.alloc(max(length, 1));
  String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, pointer);
  return slice(pointer, length);
}

/** Copies `s` into memory that is never freed; `NONE` stays `NONE`. For configuration, not for requests. */
export function persist(s: Slice): Slice {
  if (s === NONE) return NONE;
  const length = lenOf(s);
  const pointer = heap.alloc(max(length, 1));
  memory.copy(pointer, ptrOf(s), length);
  return slice(pointer, length);
}

/** Byte at `index`, unchecked: the caller holds `0 <= index < lenOf(s)`. */
export function byteAt(s: Slice, index: i32): u8 {
  return load<u8>(ptrOf(s) + index);
}

/** Bytes `[from, to)`; bounds are clamped to the slice. */
export function sub(s: Slice, from: i32, to: i32): Slice {
  const length = lenOf(s);
  const start = min(max(from, 0), length);
  const end = min(max(to, start), length);
  return slice(ptrOf(s) + start, end - start);
}

export function equal(a: Slice, b: Slice): bool {
  if (a === NONE || b === NONE) return a === b;
  const length = lenOf(a);
  if (length !== lenOf(b)) return false;
  return memory.compare(ptrOf(a), ptrOf(b), length) === 0;
}

/** ASCII lower case of one byte; other bytes unchanged. */
export function lower(byte: u8): u8 {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}

/** Equality that ignores ASCII letter case; bytes >= 0x80 must match exactly. */
export function equalFold(a: Slice, b: Slice): bool {
  if (a === NONE || b === NONE) return a === b;
  const length = lenOf(a);
  if (length !== lenOf(b)) return false;
  for (let i = 0; i < length; i++) {
    if (lower(byteAt(a, i)) !== lower(byteAt(b, i))) return false;
  }
  return true;
}

export function startsWith(s: Slice, prefix: Slice): bool {
  const length = lenOf(prefix);
  return s !== NONE && lenOf(s) >= length && memory.compare(ptrOf(s), ptrOf(prefix), length) === 0;
}

export function endsWith(s: Slice, suffix: Slice): bool {
  const length = lenOf(suffix);
  if (s === NONE || lenOf(s) < length) return false;
  return memory.compare(ptrOf(s) + lenOf(s) - length, ptrOf(suffix), length) === 0;
}

/** Index of the first `byte` at or after `from`, or -1. */
export function indexOfByte(s: Slice, byte: u8, from: i32 = 0): i32 {
  const length = lenOf(s);
  for (let i = from; i < length; i++) {
    if (byteAt(s, i) === byte) return i;
  }
  return -1;
}

/** Without spaces and tabs at both ends (RFC 9110 optional whitespace). */
export function trim(s: Slice): Slice {
  if (s === NONE) return NONE;
  let from = 0;
  let to = lenOf(s);
  while (from < to && isBlank(byteAt(s, from))) from++;
  while (to > from && isBlank(byteAt(s, to - 1))) to--;
  return sub(s, from, to);
}

function isBlank(byte: u8): bool {
  return byte === 0x20 || byte === 0x09;
}

/** Decimal digits only, at most 18 of them (so that the value fits); -1 otherwise. */
export function parseDecimal(s: Slice): i64 {
  const length = lenOf(s);
  if (length === 0 || length > 18) return -1;
  let value: i64 = 0;
  for (let i = 0; i < length; i++) {
    const digit = byteAt(s, i) - 0x30;
    if (digit > 9) return -1;
    value = value * 10 + (digit as i64);
  }
  return value;
}

/** Decodes as UTF-8 into a managed string. Allocates: for configuration, logs and errors only. */
export function text(s: Slice): string {
  return s === NONE ? '' : String.UTF8.decodeUnsafe(ptrOf(s), lenOf(s));
}

/**
 * 64-bit hash of the bytes: FNV-1a over 64 bits, then the murmur3 finaliser. Unkeyed and the same in every process and
 * on every hop, so it decides sticky percentages; where an outsider could aim at collisions use a keyed hash instead.
 */
export function hash64(s: Slice, seed: u64 = 0): u64 {
  let h: u64 = 0xcbf29ce484222325 ^ seed;
  const length = lenOf(s);
  for (let i = 0; i < length; i++) h = (h ^ (byteAt(s, i) as u64)) * 0x100000001b3;
  return mix64(h);
}

/** The murmur3 64-bit finaliser: every input bit changes about half of the output bits. */
export function mix64(value: u64): u64 {
  let h = value;
  h = (h ^ (h >> 33)) * 0xff51afd7ed558ccd;
  h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53;
  return h ^ (h >> 33);
}
