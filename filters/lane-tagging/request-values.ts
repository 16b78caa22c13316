import {
  byteAt,
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
 * Values inside a request's headers: cookies, query parameters, the address of a connection. All of them are found in
 * one pass over the bytes, and nothing is copied unless it has to be decoded.
 */

/** Longest query value that is decoded, bytes after decoding. No configured text is longer. */
export const MAX_DECODED: i32 = 1024;
/** Answer of `queryValue` for a value that decodes to more than `MAX_DECODED` bytes: there, but equal to no text. */
export const OVERLONG: Slice = u64.MAX_VALUE - 1;

/** The path without its query and fragment. */
export function pathOnly(path: Slice): Slice {
  if (path === NONE) return NONE;
  for (let i = 0, n = lenOf(path); i < n; i++) {
    const byte = byteAt(path, i);
    if (byte === 0x3f || byte === 0x23) return sub(path, 0, i);
  }
  return path;
}

/**
 * The first cookie `name` (exact letter case) in a `Cookie` header, as RFC 6265 section 5.4 writes it: pairs between
 * semicolons, blanks around name and value ignored, one pair of double quotes around the value taken off. A part
 * without `=` is no cookie.
 */
export function cookieValue(header: Slice, name: Slice): Slice {
  const length = lenOf(header);
  let from = 0;
  while (from < length) {
    let end = indexOfByte(header, 0x3b, from);
    if (end < 0) end = length;
    const part = sub(header, from, end);
    const sign = indexOfByte(part, 0x3d);
    if (sign > 0 && equal(trim(sub(part, 0, sign)), name)) return unquoted(trim(sub(part, sign + 1, lenOf(part))));
    from = end + 1;
  }
  return NONE;
}

function unquoted(value: Slice): Slice {
  const length = lenOf(value);
  const quoted = length >= 2 && byteAt(value, 0) === 0x22 && byteAt(value, length - 1) === 0x22;
  return quoted ? sub(value, 1, length - 1) : value;
}

/**
 * The first query parameter `name` of a path, percent-decoded the way HTML forms are (WHATWG URL,
 * application/x-www-form-urlencoded): `+` is a blank, `%XX` a byte, a `%` without two hexadecimal digits stays itself; a
 * part without `=` has an empty value. A value that needs decoding is written to `scratch`, which has `MAX_DECODED`
 * bytes; `OVERLONG` where it does not fit.
 */
export function queryValue(path: Slice, name: Slice, scratch: usize): Slice {
  const start = indexOfByte(path, 0x3f);
  if (start < 0) return NONE;
  let length = indexOfByte(path, 0x23);
  if (length < 0) length = lenOf(path);
  let from = start + 1;
  while (from < length) {
    let end = indexOfByte(path, 0x26, from);
    if (end < 0 || end > length) end = length;
    if (end > from) {
      let sign = indexOfByte(path, 0x3d, from);
      if (sign < 0 || sign > end) sign = end;
      if (decodesTo(path, from, sign, name)) return decoded(path, min(sign + 1, end), end, scratch);
    }
    from = end + 1;
  }
  return NONE;
}

/** Bytes that the encoded character at `at` takes: 1 or 3. */
function stepAt(s: Slice, at: i32, end: i32): i32 {
  return byteAt(s, at) === 0x25 && at + 2 < end && hex(byteAt(s, at + 1)) >= 0 && hex(byteAt(s, at + 2)) >= 0 ? 3 : 1;
}

/** The byte that the encoded character of `step` bytes at `at` stands for. */
function decodedByte(s: Slice, at: i32, step: i32): u8 {
  if (step === 3) return ((hex(byteAt(s, at + 1)) << 4) | hex(byteAt(s, at + 2))) as u8;
  const byte = byteAt(s, at);
  return byte === 0x2b ? 0x20 : byte;
}

function decodesTo(s: Slice, from: i32, end: i32, expected: Slice): bool {
  const length = lenOf(expected);
  let at = from;
  for (let i = 0; i < length; i++) {
    if (at >= end) return false;
    const step = stepAt(s, at, end);
    if (decodedByte(s, at, step) !== byteAt(expected, i)) return false;
    at += step;
  }
  return at === end;
}

function decoded(s: Slice, from: i32, end: i32, scratch: usize): Slice {
  const raw = sub(s, from, end);
  if (indexOfByte(raw, 0x25) < 0 && indexOfByte(raw, 0x2b) < 0) return raw;
  let written = 0;
  let at = from;
  while (at < end) {
    if (written === MAX_DECODED) return OVERLONG;
    const step = stepAt(s, at, end);
    store<u8>(scratch + written, decodedByte(s, at, step));
    written++;
    at += step;
  }
  return slice(scratch, written);
}

function hex(byte: u8): i32 {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const folded = byte | 0x20;
  return folded >= 0x61 && folded <= 0x66 ? folded - 0x57 : -1;
}

/** The IP address in `1.2.3.4:80` or `[::1]:80`; the whole where it has neither form. */
export function addressOnly(address: Slice): Slice {
  const length = lenOf(address);
  if (length > 0 && byteAt(address, 0) === 0x5b) {
    const end = indexOfByte(address, 0x5d);
    return end < 0 ? address : slice(ptrOf(address) + 1, end - 1);
  }
  const colon = indexOfByte(address, 0x3a);
  return colon < 0 || indexOfByte(address, 0x3a, colon + 1) >= 0 ? address : sub(address, 0, colon);
}
