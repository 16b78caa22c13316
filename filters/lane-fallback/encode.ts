/**
 * Writes the ordered list that the load balancer walks: base64 of a protobuf `google.protobuf.Value`.
 *
 *   Value   { list_value 6: ListValue { values 1: Value } * }
 *   element { struct_value 5: Struct { fields 1: { key 1, value 2: Value { string_value 3 } } * } }
 *
 * Elements go into one buffer from front to back, each behind room for its headers; `finish` puts the list's own
 * headers before the first and encodes the whole. Nothing is allocated, so a request may have its list written afresh.
 */
import { EMPTY, lenOf, NONE, ptrOf, Slice, slice } from 'proxy-wasm-assemblyscript-sdk/slice';

/**
 * Holds the longest list a configuration can describe: 8 stages of 8 lanes and less, each with and without a shard,
 * 72 elements of at most 120 bytes; or one instance of 512 bytes before them.
 */
const CAPACITY: i32 = 10240;
/** List headers: two tags, two varints of at most 3 bytes. */
const HEADROOM: i32 = 8;

const STRING_VALUE: u8 = (3 << 3) | 2;
const STRUCT_VALUE: u8 = (5 << 3) | 2;
const LIST_VALUE: u8 = (6 << 3) | 2;
/** Field 1 of ListValue, of Struct and of the map entry alike. */
const FIRST: u8 = (1 << 3) | 2;
const SECOND: u8 = (2 << 3) | 2;

const ALPHABET = memory.data<u8>([
  0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x4b, 0x4c, 0x4d, 0x4e, 0x4f, 0x50, 0x51, 0x52, 0x53,
  0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c,
  0x6d, 0x6e, 0x6f, 0x70, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x30, 0x31, 0x32, 0x33, 0x34,
  0x35, 0x36, 0x37, 0x38, 0x39, 0x2b, 0x2f,
]);

const raw: usize = heap.alloc(CAPACITY);
const encoded: usize = heap.alloc(((CAPACITY + 2) / 3) * 4);
let length: i32 = HEADROOM;
let whole: bool = true;

/** Starts an empty list. */
export function begin(): void {
  length = HEADROOM;
  whole = true;
}

/** Appends `{key: value}`. */
export function add(key: Slice, value: Slice): void {
  append(entrySize(key, value), key, value, EMPTY, EMPTY);
}

/** Appends `{key: value, otherKey: otherValue}`. */
export function addPair(key: Slice, value: Slice, otherKey: Slice, otherValue: Slice): void {
  append(entrySize(key, value) + entrySize(otherKey, otherValue), key, value, otherKey, otherValue);
}

/** The base64 text, valid until the next `begin`; `NONE` when the list did not fit. */
export function finish(): Slice {
  if (!whole) return NONE;
  const elements = length - HEADROOM;
  const start = raw + HEADROOM - 1 - varintSize(elements);
  store<u8>(start, LIST_VALUE);
  putVarint(start + 1, elements);
  return base64(start, raw + length - start);
}

/** Size of a Struct's map entry with its tag and length. */
function entrySize(key: Slice, value: Slice): i32 {
  return sized(entryBody(key, value));
}

function entryBody(key: Slice, value: Slice): i32 {
  return sized(lenOf(key)) + sized(sized(lenOf(value)));
}

/** Size of a length-delimited field of `size` bytes: tag, length, bytes. */
function sized(size: i32): i32 {
  return 1 + varintSize(size) + size;
}

function append(struct: i32, key: Slice, value: Slice, otherKey: Slice, otherValue: Slice): void {
  const value5 = sized(struct);
  if (!whole || length + sized(value5) > CAPACITY) {
    whole = false;
    return;
  }
  let at = raw + length;
  at = putHead(at, FIRST, value5);
  at = putHead(at, STRUCT_VALUE, struct);
  at = putEntry(at, key, value);
  if (otherKey !== EMPTY) at = putEntry(at, otherKey, otherValue);
  length = (at - raw) as i32;
}

function putEntry(to: usize, key: Slice, value: Slice): usize {
  let at = putHead(to, FIRST, entryBody(key, value));
  at = putBytes(putHead(at, FIRST, lenOf(key)), key);
  at = putHead(at, SECOND, sized(lenOf(value)));
  return putBytes(putHead(at, STRING_VALUE, lenOf(value)), value);
}

function putHead(at: usize, tag: u8, size: i32): usize {
  store<u8>(at, tag);
  return putVarint(at + 1, size);
}

function putBytes(at: usize, bytes: Slice): usize {
  memory.copy(at, ptrOf(bytes), lenOf(bytes));
  return at + lenOf(bytes);
}

function varintSize(value: i32): i32 {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : 3;
}

function putVarint(to: usize, value: i32): usize {
  let at = to;
  let rest = value;
  while (rest >= 0x80) {
    store<u8>(at++, (rest | 0x80) as u8);
    rest >>= 7;
  }
  store<u8>(at, rest as u8);
  return at + 1;
}

function base64(from: usize, size: usize): Slice {
  let at = encoded;
  let i: usize = 0;
  for (; i + 2 < size; i += 3) {
    const bits = ((load<u8>(from + i) as u32) << 16) | ((load<u8>(from + i, 1) as u32) << 8) | load<u8>(from + i, 2);
    at = putQuad(at, bits);
  }
  const left = size - i;
  if (left > 0) {
    const second = left > 1 ? (load<u8>(from + i, 1) as u32) : 0;
    at = putQuad(at, ((load<u8>(from + i) as u32) << 16) | (second << 8));
    store<u8>(at - 1, 0x3d);
    if (left === 1) store<u8>(at - 2, 0x3d);
  }
  return slice(encoded, at - encoded);
}

function putQuad(at: usize, bits: u32): usize {
  store<u8>(at, load<u8>(ALPHABET + ((bits >> 18) & 63)));
  store<u8>(at, load<u8>(ALPHABET + ((bits >> 12) & 63)), 1);
  store<u8>(at, load<u8>(ALPHABET + ((bits >> 6) & 63)), 2);
  store<u8>(at, load<u8>(ALPHABET + (bits & 63)), 3);
  return at + 4;
}
