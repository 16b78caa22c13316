import { lenOf, NONE, ptrOf, Slice, slice } from '../slice';
import { quoted } from './describe';
import { equalsText, Json, JsonKind, JsonLimits } from './json';
import { encodeUtf8, isDigit, scale } from './json-scalar';

/** One pass over one text; `Json` describes the dialect. */
@final
export class JsonParser {
  /** Why `parse` returned null; empty otherwise. */
  error: string = '';
  private at: i32 = 0;
  private depth: i32 = 0;
  private values: i32 = 0;
  private failed: bool = false;

  private readonly base: usize;
  private readonly length: i32;

  constructor(
    private readonly owner: StaticArray<u8>,
    private readonly limits: JsonLimits,
  ) {
    this.base = changetype<usize>(owner);
    this.length = owner.length;
  }

  parse(): Json | null {
    const value = this.value();
    if (this.failed) return null;
    this.blanks();
    if (this.at < this.length) return this.fail('the end');
    return value;
  }

  private fail(expected: string): Json | null {
    return this.failWith(`found ${this.found()}, expected ${expected}`);
  }

  private failWith(message: string): Json | null {
    if (!this.failed) this.error = `byte ${this.at}: ${message}`;
    this.failed = true;
    return null;
  }

  /** The byte at the position, fit for a message. */
  private found(): string {
    if (this.at >= this.length) return 'the end';
    const byte = this.peek();
    if (byte > 0x20 && byte < 0x7f) return `"${String.fromCharCode(byte)}"`;
    return `byte ${byte}`;
  }

  /** The byte at the position; 0 at the end (and for a NUL, which is valid nowhere). */
  private peek(): u8 {
    return this.at < this.length ? load<u8>(this.base + this.at) : 0;
  }

  private blanks(): void {
    while (this.at < this.length) {
      const byte = this.peek();
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return;
      this.at++;
    }
  }

  private node(kind: JsonKind): Json {
    return new Json(kind, this.owner);
  }

  private value(): Json | null {
    this.blanks();
    if (++this.values > this.limits.values) return this.failWith(`found more than ${this.limits.values} values`);
    const byte = this.peek();
    if (byte === 0x7b) return this.object();
    if (byte === 0x5b) return this.array();
    if (byte === 0x22) {
      const string = this.string();
      if (this.failed) return null;
      const node = this.node(JsonKind.String);
      node.text = string;
      return node;
    }
    if (byte === 0x2d || (byte >= 0x30 && byte <= 0x39)) return this.number();
    if (this.word('true')) {
      const node = this.node(JsonKind.Bool);
      node.bool = true;
      return node;
    }
    if (this.word('false')) return this.node(JsonKind.Bool);
    if (this.word('null')) return this.node(JsonKind.Null);
    return this.fail('a value');
  }

  private word(expected: string): bool {
    const end = this.at + expected.length;
    if (end > this.length || !equalsText(slice(this.base + this.at, expected.length), expected)) return false;
    this.at = end;
    return true;
  }

  private enter(): bool {
    if (++this.depth > this.limits.depth) {
      this.failWith(`found nesting deeper than ${this.limits.depth}`);
      return false;
    }
    this.at++;
    return true;
  }

  private leave(node: Json): Json {
    this.at++;
    this.depth--;
    return node;
  }

  private array(): Json | null {
    if (!this.enter()) return null;
    const node = this.node(JsonKind.Array);
    this.blanks();
    if (this.peek() === 0x5d) return this.leave(node);
    while (true) {
      const item = this.value();
      if (item === null) return null;
      node.items.push(item);
      this.blanks();
      const byte = this.peek();
      if (byte === 0x5d) return this.leave(node);
      if (byte !== 0x2c) return this.fail('"," or "]"');
      this.at++;
    }
  }

  private object(): Json | null {
    if (!this.enter()) return null;
    const node = this.node(JsonKind.Object);
    this.blanks();
    if (this.peek() === 0x7d) return this.leave(node);
    while (true) {
      this.blanks();
      if (this.peek() !== 0x22) return this.fail('a key in quotes');
      const start = this.at;
      const key = this.string();
      if (this.failed) return null;
      if (!this.addKey(node, key, start)) return null;
      this.blanks();
      if (this.peek() !== 0x3a) return this.fail('":"');
      this.at++;
      const item = this.value();
      if (item === null) return null;
      node.items.push(item);
      this.blanks();
      const byte = this.peek();
      if (byte === 0x7d) return this.leave(node);
      if (byte !== 0x2c) return this.fail('"," or "}"');
      this.at++;
    }
  }

  private addKey(node: Json, key: Slice, start: i32): bool {
    const count = node.keys.length;
    const length = lenOf(key);
    for (let i = 0; i < count; i++) {
      const other = node.keys[i];
      if (lenOf(other) === length && memory.compare(ptrOf(other), ptrOf(key), length) === 0) {
        this.at = start;
        this.failWith(`found key ${quoted(key)} a second time, expected it once`);
        return false;
      }
    }
    if (count >= this.limits.keys) {
      this.at = start;
      this.failWith(`found more than ${this.limits.keys} keys in one object`);
      return false;
    }
    node.keys.push(key);
    return true;
  }

  /** Unescapes in place: an escape is never shorter than what it stands for. */
  private string(): Slice {
    const from = this.base + this.at + 1;
    let to = from;
    this.at++;
    while (this.at < this.length) {
      const byte = this.peek();
      if (byte === 0x22) {
        this.at++;
        return slice(from, to - from);
      }
      if (byte < 0x20) break;
      if (byte !== 0x5c) {
        store<u8>(to, byte);
        to++;
        this.at++;
        continue;
      }
      to = this.escape(to);
      if (this.failed) return NONE;
    }
    this.fail(this.at < this.length ? 'a character, control characters escaped' : '"""');
    return NONE;
  }

  /** Decodes the escape at the position to `to`; returns the address behind it. */
  private escape(to: usize): usize {
    const start = this.at;
    this.at++;
    const byte = this.peek();
    let code = 0;
    if (byte === 0x22 || byte === 0x5c || byte === 0x2f) code = byte;
    else if (byte === 0x62) code = 0x08;
    else if (byte === 0x66) code = 0x0c;
    else if (byte === 0x6e) code = 0x0a;
    else if (byte === 0x72) code = 0x0d;
    else if (byte === 0x74) code = 0x09;
    else if (byte !== 0x75) {
      this.fail('one of " \\ / b f n r t u');
      return to;
    }
    this.at++;
    if (byte === 0x75) {
      code = this.hex4();
      if (!this.failed && code >= 0xd800 && code <= 0xdfff) code = this.surrogates(code, start);
      if (this.failed) return to;
    }
    return encodeUtf8(code, to);
  }

  private surrogates(high: i32, start: i32): i32 {
    if (high < 0xdc00 && this.word('\\u')) {
      const low = this.hex4();
      if (this.failed) return 0;
      if (low >= 0xdc00 && low <= 0xdfff) return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    }
    this.at = start;
    this.failWith('found half of a surrogate pair, expected both halves');
    return 0;
  }

  private hex4(): i32 {
    let code = 0;
    for (let i = 0; i < 4; i++) {
      const byte = this.peek();
      let digit: i32 = byte - 0x30;
      if (byte < 0x30 || byte > 0x39) {
        const letter = byte | 0x20;
        if (letter < 0x61 || letter > 0x66) {
          this.fail('four hexadecimal digits');
          return 0;
        }
        digit = letter - 0x57;
      }
      code = (code << 4) | digit;
      this.at++;
    }
    return code;
  }

  private number(): Json | null {
    const start = this.at;
    const negative = this.peek() === 0x2d;
    if (negative) this.at++;
    // Up to 19 digits fit 64 bits; further ones only move the exponent.
    let mantissa: u64 = 0;
    let exponent = 0;
    let digits = 0;
    const first = this.at;
    while (isDigit(this.peek())) {
      if (digits < 19) mantissa = mantissa * 10 + ((this.peek() - 0x30) as u64);
      else exponent++;
      if (mantissa !== 0) digits++;
      this.at++;
    }
    if (this.at === first) return this.fail('a digit');
    if (this.at - first > 1 && load<u8>(this.base + first) === 0x30) {
      this.at = first;
      return this.failWith('found a leading zero, expected none');
    }
    if (this.peek() === 0x2e) {
      this.at++;
      const fraction = this.at;
      while (isDigit(this.peek())) {
        if (digits < 19) {
          mantissa = mantissa * 10 + ((this.peek() - 0x30) as u64);
          exponent--;
        }
        if (mantissa !== 0) digits++;
        this.at++;
      }
      if (this.at === fraction) return this.fail('a digit');
    }
    if ((this.peek() | 0x20) === 0x65) {
      this.at++;
      const sign = this.peek();
      if (sign === 0x2b || sign === 0x2d) this.at++;
      const from = this.at;
      let written = 0;
      while (isDigit(this.peek())) {
        if (written < 100000) written = written * 10 + ((this.peek() - 0x30) as i32);
        this.at++;
      }
      if (this.at === from) return this.fail('a digit');
      exponent += sign === 0x2d ? -written : written;
    }
    const node = this.node(JsonKind.Number);
    node.number = scale(mantissa, exponent);
    if (!isFinite(node.number)) {
      this.at = start;
      return this.failWith('found a number too large for a double');
    }
    if (negative) node.number = -node.number;
    return node;
  }
}
