/**
 * The centre's answer to a report, read where it lies: nothing is allocated, nesting is bounded, and it is good as a whole or
 * not at all. Fields that are not known are passed over.
 *
 *   {"version": 7, "nextMs": 2000, "verdicts": [{"service", "host", "verdict", "version", "expiresInMs", …}, …], …}
 */
import { ascii, byteAt, equal, lenOf, NONE, Slice, sub } from 'proxy-wasm-assemblyscript-sdk/slice';
import { MAX_ROWS } from './centre-records';

/** Longest answer that is read; 512 verdicts with the longest reasons take 170 kB. */
export const MAX_ANSWER: i32 = 256 * 1024;
const MAX_DEPTH: i32 = 8;
/** Whole numbers that a double holds: what JSON means everywhere. */
const MAX_INTEGER: i64 = 9_007_199_254_740_991;

const VERSION = ascii('version');
const NEXT = ascii('nextMs');
const VERDICTS = ascii('verdicts');
const SERVICE = ascii('service');
const HOST = ascii('host');
const VERDICT = ascii('verdict');
const EXPIRES = ascii('expiresInMs');
const OK = ascii('ok');
const QUARANTINE = ascii('quarantine');
const RESTART = ascii('restart');

@final
export class Answer {
  /** -1 where the answer has none. */
  version: i64 = -1;
  nextMs: i64 = -1;
  count: i32 = 0;
  readonly services: StaticArray<u64> = new StaticArray<u64>(MAX_ROWS);
  readonly hosts: StaticArray<u64> = new StaticArray<u64>(MAX_ROWS);
  readonly versions: StaticArray<i64> = new StaticArray<i64>(MAX_ROWS);
  readonly expires: StaticArray<i64> = new StaticArray<i64>(MAX_ROWS);
  /** False: the centre has nothing against the host. */
  readonly out: StaticArray<bool> = new StaticArray<bool>(MAX_ROWS);

  private text: Slice = NONE;
  private at: i32 = 0;
  private end: i32 = 0;

  /** False of what is no such answer. Slices point into `text`. */
  read(text: Slice): bool {
    this.text = text;
    this.at = 0;
    this.end = lenOf(text);
    this.version = -1;
    this.nextMs = -1;
    this.count = 0;
    if (this.end > MAX_ANSWER || !this.whole()) {
      this.count = 0;
      return false;
    }
    return true;
  }

  private whole(): bool {
    let verdicts = false;
    if (!this.take(0x7b)) return false;
    for (let first = true; !this.take(0x7d); first = false) {
      const key = this.key(first);
      if (key === NONE) return false;
      if (equal(key, VERSION)) {
        if (!this.into(this.version)) return false;
        this.version = this.number;
      } else if (equal(key, NEXT)) {
        if (!this.into(this.nextMs)) return false;
        this.nextMs = this.number;
      } else if (equal(key, VERDICTS)) {
        if (verdicts || !this.list()) return false;
        verdicts = true;
      } else if (!this.skip(1)) return false;
    }
    this.blank();
    return this.at === this.end && verdicts && this.version >= 0 && this.nextMs >= 0;
  }

  private list(): bool {
    if (!this.take(0x5b)) return false;
    for (let first = true; !this.take(0x5d); first = false) {
      if (!first && !this.take(0x2c)) return false;
      if (this.count >= MAX_ROWS || !this.verdict()) return false;
      this.count++;
    }
    return true;
  }

  private verdict(): bool {
    let service = NONE;
    let host = NONE;
    let verdict = NONE;
    let version: i64 = -1;
    let expires: i64 = -1;
    if (!this.take(0x7b)) return false;
    for (let first = true; !this.take(0x7d); first = false) {
      const key = this.key(first);
      if (key === NONE) return false;
      if (equal(key, SERVICE)) {
        if (service !== NONE) return false;
        service = this.string();
        if (service === NONE) return false;
      } else if (equal(key, HOST)) {
        if (host !== NONE) return false;
        host = this.string();
        if (host === NONE) return false;
      } else if (equal(key, VERDICT)) {
        if (verdict !== NONE) return false;
        verdict = this.string();
        if (verdict === NONE) return false;
      } else if (equal(key, VERSION)) {
        if (!this.into(version)) return false;
        version = this.number;
      } else if (equal(key, EXPIRES)) {
        if (!this.into(expires)) return false;
        expires = this.number;
      } else if (!this.skip(3)) return false;
    }
    const ok = equal(verdict, OK);
    if (!ok && !equal(verdict, QUARANTINE) && !equal(verdict, RESTART)) return false;
    if (service === NONE || host === NONE || version < 0 || expires < 0) return false;
    const i = this.count;
    unchecked((this.services[i] = service));
    unchecked((this.hosts[i] = host));
    unchecked((this.versions[i] = version));
    unchecked((this.expires[i] = expires));
    unchecked((this.out[i] = !ok));
    return true;
  }

  private number: i64 = 0;

  /** A whole number where `before` says that there was none yet. */
  private into(before: i64): bool {
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

  private take(byte: u8): bool {
    this.blank();
    if (this.at >= this.end || byteAt(this.text, this.at) !== byte) return false;
    this.at++;
    return true;
  }

  private key(first: bool): Slice {
    if (!first && !this.take(0x2c)) return NONE;
    const key = this.string();
    return key === NONE || !this.take(0x3a) ? NONE : key;
  }

  /** The bytes between the quotes, escapes as they are: no name that counts has any. */
  private string(): Slice {
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
  private integer(): i64 {
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
  private skip(depth: i32): bool {
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
    const from = this.at;
    while (this.at < this.end && isWord(byteAt(this.text, this.at))) this.at++;
    return this.at > from;
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
