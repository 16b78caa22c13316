import { lenOf, NONE, ptrOf, Slice } from '../slice';
import { JsonParser } from './json-parser';
import { parseStruct } from './struct';

/**
 * JSON text (RFC 8259) into a tree, for configuration: strict, bounded, never trapping on input.
 *
 * Refused beyond the grammar: keys that occur twice, `\u` escapes that are half of a surrogate pair, numbers too large for a double,
 * and whatever exceeds the limits. Numbers are doubles; with more than 15 digits the last bit may differ from a
 * correctly rounded one. Byte order marks and invalid UTF-8 inside strings are the writer's business: bytes pass as they are.
 */

export enum JsonKind {
  Null,
  Bool,
  Number,
  String,
  Array,
  Object,
}

/** Upper bounds of one document. The defaults are what every plugin configuration is held to. */
@final
export class JsonLimits {
  constructor(
    /** Bytes of text. */
    readonly bytes: i32 = 1 << 20,
    /** Arrays and objects inside each other. */
    readonly depth: i32 = 32,
    /** Values in the whole document; it bounds the memory of the tree to about 4 MiB. */
    readonly values: i32 = 32768,
    /** Keys of one object; they are compared pairwise. */
    readonly keys: i32 = 4096,
  ) {}
}

const DEFAULT_LIMITS = new JsonLimits();

/** One value. Slices point into `document`, so they are good for as long as someone holds it. */
@final
export class Json {
  bool: bool = false;
  number: f64 = 0;
  /** A string's bytes, unescaped. */
  text: Slice = NONE;
  /** Elements of an array, or values of an object in the order of `keys`. */
  items: Json[] = [];
  /** Keys of an object, in the order written. */
  keys: Slice[] = [];

  constructor(
    readonly kind: JsonKind,
    /** The buffer that the slices point into. */
    readonly document: StaticArray<u8>,
  ) {}

  /** The value of `key`, or null where this is no object or has no such key. */
  get(key: string): Json | null {
    for (let i = 0, n = this.keys.length; i < n; i++) {
      if (equalsText(this.keys[i], key)) return this.items[i];
    }
    return null;
  }

  has(key: string): bool {
    return this.get(key) !== null;
  }

  /** String value of `key` as bytes; `NONE` where absent or no string. */
  textOf(key: string): Slice {
    const value = this.get(key);
    return value === null ? NONE : value.text;
  }

  /** Number value of `key`, or `fallback`. */
  numberOf(key: string, fallback: f64): f64 {
    const value = this.get(key);
    return value === null || value.kind !== JsonKind.Number ? fallback : value.number;
  }

  /** Boolean value of `key`, or `fallback`. */
  boolOf(key: string, fallback: bool): bool {
    const value = this.get(key);
    return value === null || value.kind !== JsonKind.Bool ? fallback : value.bool;
  }

  /** Elements of the array at `key`; none where absent. */
  itemsOf(key: string): Json[] {
    const value = this.get(key);
    return value === null ? [] : value.items;
  }

  /** True for a string with exactly this text. */
  is(expected: string): bool {
    return this.kind === JsonKind.String && equalsText(this.text, expected);
  }
}

/** True where `s` is `expected`, which has only ASCII characters. */
export function equalsText(s: Slice, expected: string): bool {
  if (s === NONE || lenOf(s) !== expected.length) return false;
  for (let i = 0, n = expected.length; i < n; i++) {
    if ((load<u8>(ptrOf(s) + i) as i32) !== expected.charCodeAt(i)) return false;
  }
  return true;
}

let error = '';

/** Why the last `parseJson` returned null: `byte 17: found "}", expected a value`. */
export function parseError(): string {
  return error;
}

/**
 * Parses a copy of `bytes` that the returned tree owns; null on the first error, see `parseError`. Bytes that are no JSON
 * text may be a binary `google.protobuf.Struct`, which begins with a line feed.
 */
export function parseJson(bytes: Slice, limits: JsonLimits = DEFAULT_LIMITS): Json | null {
  const length = lenOf(bytes);
  if (length > limits.bytes) {
    error = `byte ${limits.bytes}: found ${length} bytes, expected at most ${limits.bytes}`;
    return null;
  }
  const document = new StaticArray<u8>(length);
  memory.copy(changetype<usize>(document), ptrOf(bytes), length);
  const parser = new JsonParser(document, limits);
  const value = parser.parse();
  error = parser.error;
  if (value !== null || length === 0 || load<u8>(ptrOf(bytes)) !== 0x0a) return value;
  memory.copy(changetype<usize>(document), ptrOf(bytes), length);
  return parseStruct(document, limits);
}
