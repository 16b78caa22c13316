/**
 * Whether the healing centre wants this instance isolated. What it says holds for a minute at most, and is said again and again:
 * a centre that has gone frees the instance.
 */
import { ascii, equal, lenOf, NONE, Slice } from 'proxy-wasm-assemblyscript-sdk/slice';
import { AHEAD_MS, MAX_VERDICT_MS } from './centre-records';
import { JsonReader } from './json-reader';

/** Longest answer that is read. */
export const MAX_ORDER: i32 = 4096;

const VERSION = ascii('version');
const ISOLATED = ascii('isolated');
const EXPIRES = ascii('expiresInMs');
const TRUE = ascii('true');
const FALSE = ascii('false');

/** The centre's answer: `{"isolated": true, "version": 7, "expiresInMs": 60000, …}`. Good as a whole or not at all. */
@final
export class OrderAnswer extends JsonReader {
  isolated: bool = false;
  /** 0: the centre knows of no order. */
  version: i64 = -1;
  expires: i64 = -1;

  read(text: Slice): bool {
    this.isolated = false;
    this.version = -1;
    this.expires = -1;
    this.open(text);
    return lenOf(text) <= MAX_ORDER && this.whole();
  }

  private whole(): bool {
    let told = false;
    if (!this.take(0x7b)) return false;
    for (let first = true; !this.take(0x7d); first = false) {
      const key = this.key(first);
      if (key === NONE) return false;
      if (equal(key, VERSION)) {
        if (!this.into(this.version)) return false;
        this.version = this.number;
      } else if (equal(key, EXPIRES)) {
        if (!this.into(this.expires)) return false;
        this.expires = this.number;
      } else if (equal(key, ISOLATED)) {
        const word = this.word();
        this.isolated = equal(word, TRUE);
        if (told || (!this.isolated && !equal(word, FALSE))) return false;
        told = true;
      } else if (!this.skip(1)) return false;
    }
    if (!this.over() || !told || this.version < 0 || this.expires < 0) return false;
    return this.expires <= MAX_VERDICT_MS && (this.version > 0 || !this.isolated);
  }
}

@final
export class Order {
  /** Of the last answer: what the centre need not say again at once. */
  known: i64 = 0;
  /** Until when the instance is isolated, ms since 1970; 0 = it is not. */
  until: i64 = 0;
  private newest: i64 = 0;

  /** False of an answer that is older than what is known, or lies too far ahead: nothing is taken. */
  take(answer: OrderAnswer, now: i64): bool {
    // A centre that has lost its memory says nothing against what it has said before: that ends in its time.
    if (answer.version > 0) {
      if (answer.version < this.newest || answer.version > max(this.newest, now) + AHEAD_MS) return false;
      this.newest = answer.version;
      this.until = answer.isolated ? now + answer.expires : 0;
    }
    this.known = answer.version;
    return true;
  }
}
