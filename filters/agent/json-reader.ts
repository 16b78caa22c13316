/**
 * Reads JSON where it lies, one value after the other: nothing is allocated, and nesting is bounded. What a method does not
 * find makes it answer false, `NONE` or -1; the answer is then given up as a whole.
 */
import { byteAt, lenOf, NONE, Slice, sub } from 'proxy-wasm-assemblyscript-sdk/slice';

const MAX_DEPTH: i32 = 8;
/** Whole numbers that a double holds: what JSON means everywhere. */
const MAX_INTEGER: i64 = 9_007_199_254_740_991;

export abstract class JsonReader {
  private text: Slice = NONE;
  private at: i32 = 0;
  private end: i32 = 0;
  /** What `into` has found. */
  protected number: i64 = 0;

  protected open(text: Slice): void {
    this.text = text;
    this.at = 0;
    this.end = lenOf(text);
  }

  /** Nothing but space is left. */
  protected over(): bool {
    this.blank();
    return this.at === this.end;
  }

  /** A whole number where `before` says that there was none yet. */
  protected into(before: i64): bool {
    this.number = this.integer();
    return before < 0 && this.number >= 0;
  }

  private blank(): void {
    while (this.at < this.end) {
      const byte = byteAt(this.text, this.at);
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return;
      this.at++;
    }
  }

  protected take(byte: u8): bool {
    this.blank();
    if (this.at >= this.end || byteAt(this.text, this.at) !== byte) return false;
    this.at++;
    return true;
  }

  protected key(first: bool): Slice {
    if (!first && !this.take(0x2c)) return NONE;
    const key = this.string();
    return key === NONE || !this.take(0x3a) ? NONE : key;
  }

  /** The bytes between the quotes, escapes as they are: no name that counts has any. */
  protected string(): Slice {
    if (!this.take(0x22)) return NONE;
    const from = this.at;
    while (this.at < this.end) {
      const byte = byteAt(this.text, this.at++);
      if (byte === 0x22) return sub(this.text, from, this.at - 1);
      if (byte < 0x20) return NONE;
      if (byte === 0x5c) this.at++;
    }
    return NONE;
  }

  /** Digits alone; -1 of anything else, and of what a double does not hold. */
  protected integer(): i64 {
    this.blank();
    let value: i64 = -1;
    while (this.at < this.end) {
      const digit = byteAt(this.text, this.at) - 0x30;
      if (digit > 9) break;
      value = max<i64>(value, 0) * 10 + (digit as i64);
      if (value > MAX_INTEGER) return -1;
      this.at++;
    }
    return value;
  }

  /** Passes over a value of any kind; what is no string and no bracket is taken as it comes. */
  protected skip(depth: i32): bool {
    this.blank();
    if (this.at >= this.end || depth > MAX_DEPTH) return false;
    const byte = byteAt(this.text, this.at);
    if (byte === 0x22) return this.string() !== NONE;
    if (byte === 0x7b || byte === 0x5b) {
      this.at++;
      const close: u8 = byte === 0x7b ? 0x7d : 0x5d;
      for (let first = true; !this.take(close); first = false) {
        if (byte === 0x7b) {
          if (this.key(first) === NONE) return false;
        } else if (!first && !this.take(0x2c)) return false;
        if (!this.skip(depth + 1)) return false;
      }
      return true;
    }
    return this.word() !== NONE;
  }

  /** The letters and digits of what is neither a string nor a list nor an object; `NONE` of anything else. */
  protected word(): Slice {
    this.blank();
    const from = this.at;
    while (this.at < this.end && isWord(byteAt(this.text, this.at))) this.at++;
    return this.at > from ? sub(this.text, from, this.at) : NONE;
  }
}

/** Bytes of numbers, `true`, `false` and `null`. */
function isWord(byte: u8): bool {
  const lower = byte | 0x20;
  return (
    (byte >= 0x30 && byte <= 0x39) ||
    (lower >= 0x61 && lower <= 0x7a) ||
    byte === 0x2d ||
    byte === 0x2b ||
    byte === 0x2e
  );
}
