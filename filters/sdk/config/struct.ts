import { lenOf, ptrOf, Slice, slice } from '../slice';
import { Json, JsonKind, JsonLimits } from './json';

/**
 * A binary `google.protobuf.Struct` into the tree that JSON text gives. Envoy hands a plugin configuration that is
 * written as a Struct over in this form. The limits are those of the text, and so is what is refused.
 *
 *   Struct     1: entry *            entry  1: key   2: Value
 *   ListValue  1: Value *            Value  1: null  2: number  3: string  4: bool  5: Struct  6: ListValue
 */
export function parseStruct(document: StaticArray<u8>, limits: JsonLimits): Json | null {
  const reader = new StructReader(document, limits);
  return reader.object(0, document.length);
}

/** Fields as a protobuf writer of Struct tags them: number << 3 | wire type. */
const FIRST: u8 = 0x0a;
const SECOND: u8 = 0x12;
const NULL: u8 = 0x08;
const NUMBER: u8 = 0x11;
const STRING: u8 = 0x1a;
const BOOL: u8 = 0x20;
const OBJECT: u8 = 0x2a;
const LIST: u8 = 0x32;

@final
class StructReader {
  private depth: i32 = 0;
  private values: i32 = 0;
  private readonly base: usize;

  constructor(
    private readonly document: StaticArray<u8>,
    private readonly limits: JsonLimits,
  ) {
    this.base = changetype<usize>(document);
  }

  object(from: i32, to: i32): Json | null {
    const node = this.node(JsonKind.Object);
    if (node === null || ++this.depth > this.limits.depth) return null;
    let at = from;
    while (at < to) {
      const entry = this.field(FIRST, at, to);
      if (entry < 0) return null;
      at = this.end;
      const key = this.field(FIRST, entry, at);
      if (key < 0) return null;
      const name = slice(this.base + key, this.end - key);
      const value = this.field(SECOND, this.end, at);
      if (value < 0 || this.end !== at || !this.fits(node, name)) return null;
      const item = this.value(value, at);
      if (item === null) return null;
      node.keys.push(name);
      node.items.push(item);
    }
    this.depth--;
    return node;
  }

  private list(from: i32, to: i32): Json | null {
    const node = this.node(JsonKind.Array);
    if (node === null || ++this.depth > this.limits.depth) return null;
    let at = from;
    while (at < to) {
      const start = this.field(FIRST, at, to);
      if (start < 0) return null;
      at = this.end;
      const item = this.value(start, at);
      if (item === null) return null;
      node.items.push(item);
    }
    this.depth--;
    return node;
  }

  /** One Value that fills `[from, to)`. */
  private value(from: i32, to: i32): Json | null {
    if (from >= to) return null;
    const tag = load<u8>(this.base + from);
    if (tag === NUMBER) return to - from === 9 ? this.number(load<f64>(this.base + from + 1)) : null;
    if (tag === NULL || tag === BOOL) {
      const node = this.node(tag === NULL ? JsonKind.Null : JsonKind.Bool);
      if (node === null || to - from !== 2) return null;
      node.bool = load<u8>(this.base + from + 1) !== 0;
      return node;
    }
    const start = this.field(tag, from, to);
    if (start < 0 || this.end !== to) return null;
    if (tag === OBJECT) return this.object(start, to);
    if (tag === LIST) return this.list(start, to);
    const node = tag === STRING ? this.node(JsonKind.String) : null;
    if (node !== null) node.text = slice(this.base + start, to - start);
    return node;
  }

  private number(value: f64): Json | null {
    const node = isFinite(value) ? this.node(JsonKind.Number) : null;
    if (node !== null) node.number = value;
    return node;
  }

  private node(kind: JsonKind): Json | null {
    return ++this.values > this.limits.values ? null : new Json(kind, this.document);
  }

  /** Whether the object may have this key too. */
  private fits(node: Json, key: Slice): bool {
    for (let i = 0; i < node.keys.length; i++) {
      const other = node.keys[i];
      if (lenOf(other) === lenOf(key) && memory.compare(ptrOf(other), ptrOf(key), lenOf(key)) === 0) return false;
    }
    return node.keys.length < this.limits.keys;
  }

  /** Where the last field that `field` found ends. */
  private end: i32 = 0;

  /** Start of the contents of the length-delimited field `tag` at `at`; -1 where there is none, or beyond `to`. */
  private field(tag: u8, at: i32, to: i32): i32 {
    if (at >= to || load<u8>(this.base + at) !== tag) return -1;
    let length = 0;
    let shift = 0;
    let next = at + 1;
    // A document has at most 2^20 bytes: three bytes of seven bits say more than that.
    while (next < to && shift < 21) {
      const byte = load<u8>(this.base + next++);
      length |= ((byte & 0x7f) as i32) << shift;
      shift += 7;
      if (byte < 0x80) {
        this.end = next + length;
        return this.end <= to ? next : -1;
      }
    }
    return -1;
  }
}
