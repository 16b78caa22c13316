import {
  byteAt,
  EMPTY,
  equal,
  indexOfByte,
  lenOf,
  NONE,
  ptrOf,
  Slice,
  slice,
  sub,
  trim,
} from 'proxy-wasm-assemblyscript-sdk/slice';

/**
 * The tag as a member of the W3C `baggage` header (https://www.w3.org/TR/baggage/), which applications with tracing
 * forward: `key1=value1;property, key2=value2`.
 *
 * Limits of the recommendation: 8192 bytes and 180 members are what everyone must pass on, so no more is written.
 */
export const MAX_BYTES: i32 = 8192;
export const MAX_MEMBERS: i32 = 180;
/** A tag is at most 63 bytes; each may be written as `%xx`. */
const MAX_VALUE: i32 = 63;

const COMMA: u8 = 0x2c;
const EQUALS: u8 = 0x3d;
const SEMICOLON: u8 = 0x3b;
const PERCENT: u8 = 0x25;

const decoded: usize = memory.data(64, 8);
const output: usize = memory.data(8192, 8);

/** How many members the last `withMember` had to leave out because of the limits. */
let dropped: i32 = 0;

export function droppedMembers(): i32 {
  return dropped;
}

/**
 * Decoded value of the member `key` (case-sensitive), without its properties; valid until the next call. `NONE` when
 * there is none, when it is longer than 63 bytes or badly encoded, and when several members of that key differ.
 */
export function memberOf(baggage: Slice, key: Slice): Slice {
  let found: Slice = NONE;
  for (let at = 0; at < lenOf(baggage); ) {
    const end = memberEnd(baggage, at);
    const member = sub(baggage, at, end);
    if (equal(keyOf(member), key)) {
      const value = valueOf(member);
      if (found !== NONE && !equal(found, value)) return NONE;
      found = value;
    }
    at = end + 1;
  }
  return found === NONE ? NONE : decode(found);
}

/**
 * The header with exactly one member `key`, of value `tag` (characters of a tag need no encoding), in front of all
 * others; without the member when `tag` is `NONE`. `NONE` when that is how it is already, `EMPTY` when nothing is
 * left. Members beyond the limits are left out whole, from the end, never cut. Valid until the next call.
 */
export function withMember(baggage: Slice, key: Slice, tag: Slice): Slice {
  dropped = 0;
  if (isAsWanted(baggage, key, tag)) return NONE;
  let length = 0;
  let members = 0;
  if (tag !== NONE) {
    length = put(put(0, key), slice(EQUALS_SIGN, 1));
    length = put(length, tag);
    members = 1;
  }
  for (let at = 0; at < lenOf(baggage); ) {
    const end = memberEnd(baggage, at);
    const member = trim(sub(baggage, at, end));
    at = end + 1;
    if (lenOf(member) === 0 || equal(keyOf(member), key)) continue;
    const separator = length > 0 ? 1 : 0;
    if (dropped > 0 || members === MAX_MEMBERS || length + separator + lenOf(member) > MAX_BYTES) {
      dropped++;
      continue;
    }
    if (separator === 1) store<u8>(output + length++, COMMA);
    length = put(length, member);
    members++;
  }
  return length === 0 ? EMPTY : slice(output, length);
}

const EQUALS_SIGN: usize = memory.data<u8>([0x3d]);

/** True when the member is there once with just this value, or absent as wanted. */
function isAsWanted(baggage: Slice, key: Slice, tag: Slice): bool {
  let count = 0;
  for (let at = 0; at < lenOf(baggage); ) {
    const end = memberEnd(baggage, at);
    const member = sub(baggage, at, end);
    if (equal(keyOf(member), key)) {
      if (tag === NONE || !equal(valueOf(member), tag)) return false;
      count++;
    }
    at = end + 1;
  }
  return count === (tag === NONE ? 0 : 1);
}

function put(at: i32, bytes: Slice): i32 {
  memory.copy(output + at, ptrOf(bytes), lenOf(bytes));
  return at + lenOf(bytes);
}

function memberEnd(baggage: Slice, from: i32): i32 {
  const comma = indexOfByte(baggage, COMMA, from);
  return comma < 0 ? lenOf(baggage) : comma;
}

/** The key, or `NONE` for what is not `key=value`. */
function keyOf(member: Slice): Slice {
  const equals = indexOfByte(member, EQUALS);
  return equals < 0 ? NONE : trim(sub(member, 0, equals));
}

function valueOf(member: Slice): Slice {
  const from = indexOfByte(member, EQUALS) + 1;
  const properties = indexOfByte(member, SEMICOLON, from);
  return trim(sub(member, from, properties < 0 ? lenOf(member) : properties));
}

function decode(value: Slice): Slice {
  const length = lenOf(value);
  let written = 0;
  for (let i = 0; i < length; i++) {
    if (written === MAX_VALUE) return NONE;
    let byte = byteAt(value, i);
    if (byte === PERCENT) {
      if (i + 2 >= length) return NONE;
      const high = hexDigit(byteAt(value, i + 1));
      const low = hexDigit(byteAt(value, i + 2));
      if ((high | low) < 0) return NONE;
      byte = ((high << 4) | low) as u8;
      i += 2;
    }
    store<u8>(decoded + written++, byte);
  }
  return slice(decoded, written);
}

/** Value of a hexadecimal digit, or -1. */
function hexDigit(byte: u8): i32 {
  if (byte - 0x30 < 10) return (byte - 0x30) as i32;
  const letter = (byte | 0x20) - 0x61;
  return letter < 6 ? (letter as i32) + 10 : -1;
}
