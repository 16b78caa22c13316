import {
  byteAt,
  indexOfByte,
  lenOf,
  lower,
  mix64,
  NONE,
  Slice,
  slice,
  sub,
  trim,
} from 'proxy-wasm-assemblyscript-sdk/slice';
import { decodeBase64 } from './base64';

/**
 * Takes the trace id out of a header's value, in the form that every hop agrees on.
 *
 * An id is never stored or compared as text, only hashed (`siphash.ts`, `stickyHash`), so its length needs no cap: one of
 * 60 kB costs its hash and nothing else. Letter case is folded by the hashes, not here.
 */
export enum TraceFormat {
  /** The whole value: `x-request-id`, `x-datadog-trace-id`, … */
  Plain = 0,
  /** W3C trace context: `00-<32 hex>-<16 hex>-<2 hex>`. */
  Traceparent = 1,
  /** B3 in one header: `<16 or 32 hex>-<16 hex>…`. */
  B3 = 2,
  /** B3 in several headers, the one with the trace id: 16 or 32 hex digits. */
  B3TraceId = 3,
  /** SkyWalking: `<0|1>-<base64 of the trace id>-…`. */
  Sw8 = 4,
  /** Jaeger: `<1 to 32 hex>:<span>:<parent>:<flags>`, `:` also as `%3A`. */
  UberTraceId = 5,
}

const DASH: u8 = 0x2d;
const COLON: u8 = 0x3a;
const COMMA: u8 = 0x2c;
const PERCENT: u8 = 0x25;
const ZERO: u8 = 0x30;

const UUID_LENGTH = 36;
/** Index in a UUID of the digit that Envoy's tracing rewrites to note its sampling decision. */
const UUID_TRACE_DIGIT = 14;
/** A SkyWalking id longer than this is not decoded: its base64 text, as good a name for it, stands in. */
const MAX_DECODED = 128;

/** Holds an id that is not a part of its header's value. */
const scratch: usize = memory.data(128, 8);

/**
 * The id in `value`, or `NONE` when there is none that can be told from others (malformed, all zero, a list).
 * Valid as long as the bytes of `value`, and no longer than until the next call.
 */
export function traceIdOf(format: TraceFormat, value: Slice): Slice {
  if (value === NONE) return NONE;
  const text = trim(value);
  switch (format) {
    case TraceFormat.Traceparent:
      return fromTraceparent(text);
    case TraceFormat.B3:
      return fromB3(text);
    case TraceFormat.B3TraceId:
      return fromB3TraceId(text);
    case TraceFormat.Sw8:
      return fromSw8(text);
    case TraceFormat.UberTraceId:
      return fromUber(text);
    default:
      return fromPlain(text);
  }
}

/**
 * Unkeyed hash of an id, the same on every hop and in every process: percentages are drawn from it, salted by `seed`.
 * Equals `hash64` of the id in lower case.
 */
export function stickyHash(id: Slice, seed: u64 = 0): u64 {
  let h: u64 = 0xcbf29ce484222325 ^ seed;
  const length = lenOf(id);
  for (let i = 0; i < length; i++) h = (h ^ (lower(byteAt(id, i)) as u64)) * 0x100000001b3;
  return mix64(h);
}

/** A value with a comma is several headers joined by Envoy; which of them the application will send on is unknown. */
function fromPlain(value: Slice): Slice {
  if (lenOf(value) === 0 || indexOfByte(value, COMMA) >= 0) return NONE;
  if (!isUuid(value)) return value;
  const pointer = (value >> 32) as usize;
  memory.copy(scratch, pointer, UUID_TRACE_DIGIT);
  memory.copy(scratch + UUID_TRACE_DIGIT, pointer + UUID_TRACE_DIGIT + 1, UUID_LENGTH - UUID_TRACE_DIGIT - 1);
  return slice(scratch, UUID_LENGTH - 1);
}

function isUuid(value: Slice): bool {
  if (lenOf(value) !== UUID_LENGTH) return false;
  for (let i = 0; i < UUID_LENGTH; i++) {
    const byte = byteAt(value, i);
    if (i === 8 || i === 13 || i === 18 || i === 23) {
      if (byte !== DASH) return false;
    } else if (!isHex(byte)) {
      return false;
    }
  }
  return true;
}

/** Letters must be lower case here, and version 00 ends after the flags; a later version may go on after a dash. */
function fromTraceparent(value: Slice): Slice {
  const length = lenOf(value);
  if (length < 55) return NONE;
  if (byteAt(value, 2) !== DASH || byteAt(value, 35) !== DASH || byteAt(value, 52) !== DASH) return NONE;
  if (!isLowerHex(value, 0, 2) || !isLowerHex(value, 3, 35) || !isLowerHex(value, 36, 52)) return NONE;
  if (!isLowerHex(value, 53, 55)) return NONE;
  const versionZero = byteAt(value, 0) === ZERO && byteAt(value, 1) === ZERO;
  if (byteAt(value, 0) === 0x66 && byteAt(value, 1) === 0x66) return NONE;
  if (length > 55 && (versionZero || byteAt(value, 55) !== DASH)) return NONE;
  if (significant(sub(value, 36, 52)) === NONE) return NONE;
  return significant(sub(value, 3, 35));
}

/** `0`, `1` and `d` alone are sampling decisions without an id. */
function fromB3(value: Slice): Slice {
  const end = indexOfByte(value, DASH);
  if (end < 0 || end + 1 >= lenOf(value)) return NONE;
  return fromB3TraceId(sub(value, 0, end));
}

function fromB3TraceId(value: Slice): Slice {
  const length = lenOf(value);
  return length === 16 || length === 32 ? hexId(value) : NONE;
}

function fromUber(value: Slice): Slice {
  const length = lenOf(value);
  let first = -1;
  let separators = 0;
  for (let i = 0; i < length; i++) {
    const byte = byteAt(value, i);
    const escaped =
      byte === PERCENT && i + 2 < length && byteAt(value, i + 1) === 0x33 && lower(byteAt(value, i + 2)) === 0x61;
    if (byte !== COLON && !escaped) continue;
    if (first < 0) first = i;
    separators++;
  }
  if (separators !== 3 || first < 1 || first > 32) return NONE;
  return hexId(sub(value, 0, first));
}

function fromSw8(value: Slice): Slice {
  if (lenOf(value) < 4 || byteAt(value, 1) !== DASH) return NONE;
  const sampled = byteAt(value, 0);
  if (sampled !== ZERO && sampled !== ZERO + 1) return NONE;
  const end = indexOfByte(value, DASH, 2);
  if (end < 3) return NONE;
  const field = sub(value, 2, end);
  const length = decodeBase64(field, scratch, MAX_DECODED);
  if (length === 0) return NONE;
  return length > MAX_DECODED ? field : slice(scratch, length);
}

function hexId(value: Slice): Slice {
  const length = lenOf(value);
  for (let i = 0; i < length; i++) {
    if (!isHex(byteAt(value, i))) return NONE;
  }
  return significant(value);
}

/** Without leading zeros, so that a 64-bit id and its 128-bit padding are one; an all-zero id is none. */
function significant(digits: Slice): Slice {
  const length = lenOf(digits);
  let from = 0;
  while (from < length && byteAt(digits, from) === ZERO) from++;
  return from === length ? NONE : sub(digits, from, length);
}

function isHex(byte: u8): bool {
  return byte - ZERO <= 9 || lower(byte) - 0x61 <= 5;
}

function isLowerHex(s: Slice, from: i32, to: i32): bool {
  for (let i = from; i < to; i++) {
    const byte = byteAt(s, i);
    if (byte - ZERO > 9 && byte - 0x61 > 5) return false;
  }
  return true;
}
