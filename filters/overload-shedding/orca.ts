/**
 * Load reports of an application, in every form that Envoy's ORCA parser takes:
 *
 *   endpoint-load-metrics       `name:value, name:value`, also with the prefix `TEXT `; `JSON {…}`; `BIN <base64>`
 *   endpoint-load-metrics-json  a JSON object
 *   endpoint-load-metrics-bin   base64 of a protobuf OrcaLoadReport
 *
 * Source: xds.data.orca.v3.OrcaLoadReport; gRFC A51; Envoy source/extensions/orca. Names may be written with the map that they
 * belong to (`named_metrics.queue_ms`, `utilization.x`). Only two values are looked for; the first of each counts.
 */
import { byteAt, equal, lenOf, ptrOf, Slice, startsWith, sub, trim } from 'proxy-wasm-assemblyscript-sdk/slice';
import { decodeBase64 } from '../trace-propagation/base64';
import { parseNumber } from './number';

/** Longest report that is looked at; a longer one counts as none. */
const MAX_REPORT: i32 = 4096;
const MAX_FIELDS: i32 = 256;
/** Milliseconds: more than a day in a queue is no report. */
const MOST_QUEUE_MS: f64 = 86_400_000;
const MOST_UTILIZATION: f64 = 1000;

const TEXT = bytes(memory.data<u8>([0x54, 0x45, 0x58, 0x54, 0x20]), 5);
const JSON = bytes(memory.data<u8>([0x4a, 0x53, 0x4f, 0x4e, 0x20]), 5);
const BIN = bytes(memory.data<u8>([0x42, 0x49, 0x4e, 0x20]), 4);
/** `cpu_utilization` */
const CPU = bytes(
  memory.data<u8>([0x63, 0x70, 0x75, 0x5f, 0x75, 0x74, 0x69, 0x6c, 0x69, 0x7a, 0x61, 0x74, 0x69, 0x6f, 0x6e]),
  15,
);
const QUOTE: u8 = 0x22;

/** Field numbers of OrcaLoadReport. */
const FIELD_CPU: u32 = 1;
const FIELD_UTILIZATION: u32 = 5;
const FIELD_NAMED: u32 = 8;

const decoded: usize = memory.data(3072, 8);

/** What the report read last said; `NaN` where it said nothing, or nothing usable. */
let queueMs: f64 = NaN;
let cpu: f64 = NaN;
/** It said one of them in a way that cannot be. */
let absurd: bool = false;

function bytes(at: usize, length: i32): Slice {
  return ((at as u64) << 32) | (length as u64);
}

/** T2 in milliseconds by the report read last, 0 to a day, or `NaN`. */
export function reportedQueue(): f64 {
  return queueMs;
}

/** CPU utilisation by the report read last, 1 = all of it, or `NaN`. */
export function reportedCpu(): f64 {
  return cpu;
}

/**
 * Reads `endpoint-load-metrics`. `metric` names the one that holds T2. False when the report is no report, of which nothing
 * counts, or when one of its values cannot be, which does not count then.
 */
export function readReport(value: Slice, metric: Slice): bool {
  forget();
  if (lenOf(value) > MAX_REPORT) return false;
  if (startsWith(value, JSON)) return judged(readJson(sub(value, 5, lenOf(value)), metric));
  if (startsWith(value, BIN)) return judged(readBinary(sub(value, 4, lenOf(value)), metric));
  return judged(readText(startsWith(value, TEXT) ? sub(value, 5, lenOf(value)) : value, metric));
}

/** Reads `endpoint-load-metrics-json`. */
export function readJsonReport(value: Slice, metric: Slice): bool {
  forget();
  return lenOf(value) <= MAX_REPORT && judged(readJson(value, metric));
}

/** Reads `endpoint-load-metrics-bin`. */
export function readBinaryReport(value: Slice, metric: Slice): bool {
  forget();
  return lenOf(value) <= MAX_REPORT && judged(readBinary(value, metric));
}

function forget(): void {
  queueMs = NaN;
  cpu = NaN;
  absurd = false;
}

/** What was read of a report that breaks off is forgotten. */
function judged(whole: bool): bool {
  if (whole) return !absurd;
  forget();
  return false;
}

/** Keeps a value when its name is one of those looked for and nothing was kept before. */
function take(name: Slice, value: Slice, metric: Slice): void {
  if (isNamed(name, metric)) {
    if (isNaN(queueMs)) queueMs = checked(parseNumber(value, MOST_QUEUE_MS));
  } else if (equal(name, CPU)) {
    if (isNaN(cpu)) cpu = checked(parseNumber(value, MOST_UTILIZATION));
  }
}

function checked(value: f64): f64 {
  if (isNaN(value)) absurd = true;
  return value;
}

/** `queue_ms`, or with the name of its map before it. */
function isNamed(name: Slice, metric: Slice): bool {
  const extra = lenOf(name) - lenOf(metric);
  if (extra === 0) return equal(name, metric);
  return extra > 1 && byteAt(name, extra - 1) === 0x2e && equal(sub(name, extra, lenOf(name)), metric);
}

/** `name:value` or `name=value`, separated by commas. */
function readText(text: Slice, metric: Slice): bool {
  const length = lenOf(text);
  let pairs = 0;
  for (let from = 0; from <= length; ) {
    let split = -1;
    let to = from;
    for (; to < length && byteAt(text, to) !== 0x2c; to++) {
      const byte = byteAt(text, to);
      if (split < 0 && (byte === 0x3a || byte === 0x3d)) split = to;
    }
    if (split > from) {
      take(trim(sub(text, from, split)), trim(sub(text, split + 1, to)), metric);
      pairs++;
    }
    from = to + 1;
  }
  return pairs > 0;
}

/**
 * Looks for `"name": number` at any depth, which is all that a report's JSON has: objects of numbers. No tree is built. A
 * name in a string value could be mistaken for a key only if a colon and a number followed it, which no JSON has.
 */
function readJson(text: Slice, metric: Slice): bool {
  const length = lenOf(text);
  let pairs = 0;
  let at = 0;
  while (at < length) {
    if (byteAt(text, at) !== QUOTE) {
      at++;
      continue;
    }
    const from = ++at;
    while (at < length && byteAt(text, at) !== QUOTE) at += byteAt(text, at) === 0x5c ? 2 : 1;
    if (at >= length) return false;
    const name = sub(text, from, at);
    at = skipBlank(text, at + 1);
    if (at >= length || byteAt(text, at) !== 0x3a) continue;
    const start = skipBlank(text, at + 1);
    for (at = start; at < length && isNumeric(byteAt(text, at)); at++);
    if (at === start) continue;
    take(name, sub(text, start, at), metric);
    pairs++;
  }
  return pairs > 0;
}

function skipBlank(text: Slice, from: i32): i32 {
  let at = from;
  while (at < lenOf(text) && byteAt(text, at) <= 0x20) at++;
  return at;
}

/** A character of a JSON number. */
function isNumeric(byte: u8): bool {
  return (byte >= 0x30 && byte <= 0x39) || byte === 0x2e || byte === 0x2d || byte === 0x2b || (byte | 0x20) === 0x65;
}

function readBinary(text: Slice, metric: Slice): bool {
  const length = decodeBase64(trim(text), decoded, 3072);
  if (length === 0 || length > 3072) return false;
  return readMessage(bytes(decoded, length), metric, 0);
}

/**
 * Walks a protobuf message. At depth 0 it is the report; a map's entry at depth 1 has the key in field 1 and the value,
 * a double, in field 2.
 */
function readMessage(message: Slice, metric: Slice, depth: i32): bool {
  const length = lenOf(message);
  const start = ptrOf(message);
  let at = 0;
  let name: Slice = 0;
  // What an entry leaves out has its type's default.
  let value: f64 = 0;
  for (let i = 0; at < length; i++) {
    if (i >= MAX_FIELDS) return false;
    const tag = varint(message, at);
    if (tag < 0) return false;
    at = after;
    const field = (tag as u32) >> 3;
    const wire = (tag as u32) & 7;
    if (wire === 0) {
      if (varint(message, at) < 0) return false;
      at = after;
    } else if (wire === 1) {
      if (at + 8 > length) return false;
      if (depth === 0 && field === FIELD_CPU) cpu = bounded(load<f64>(start + at), MOST_UTILIZATION);
      else if (depth === 1 && field === 2) value = load<f64>(start + at);
      at += 8;
    } else if (wire === 5) {
      if (at + 4 > length) return false;
      at += 4;
    } else if (wire === 2) {
      const size = varint(message, at);
      if (size < 0 || size > ((length - after) as i64)) return false;
      const inner = sub(message, after, after + (size as i32));
      at = after + (size as i32);
      if (depth === 1 && field === 1) name = inner;
      else if (depth === 0 && (field === FIELD_NAMED || field === FIELD_UTILIZATION)) {
        if (!readMessage(inner, metric, 1)) return false;
      }
    } else {
      return false;
    }
  }
  if (depth === 1 && isNamed(name, metric) && isNaN(queueMs)) queueMs = bounded(value, MOST_QUEUE_MS);
  return true;
}

let after: i32 = 0;

/** The number at `at`, of at most 9 bytes, or -1; `after` is the place behind it. */
function varint(message: Slice, at: i32): i64 {
  let value: i64 = 0;
  for (let shift = 0; shift < 63 && at < lenOf(message); shift += 7) {
    const byte = byteAt(message, at++) as i64;
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      after = at;
      return value;
    }
  }
  return -1;
}

function bounded(value: f64, most: f64): f64 {
  return checked(value >= 0 && value <= most ? value : NaN);
}
