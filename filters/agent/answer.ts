/**
 * The centre's answer to a report, read where it lies: nothing is allocated, nesting is bounded, and it is good as a whole or
 * not at all. Fields that are not known are passed over.
 *
 *   {"version": 7, "nextMs": 2000, "verdicts": [{"service", "host", "verdict", "version", "expiresInMs", …}, …], …}
 */
import { ascii, equal, lenOf, NONE, Slice } from 'proxy-wasm-assemblyscript-sdk/slice';
import { MAX_ROWS } from './centre-records';
import { JsonReader } from './json-reader';

/** Longest answer that is read; 512 verdicts with the longest reasons take 170 kB. */
export const MAX_ANSWER: i32 = 256 * 1024;

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
export class Answer extends JsonReader {
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

  /** False of what is no such answer. Slices point into `text`. */
  read(text: Slice): bool {
    this.open(text);
    this.version = -1;
    this.nextMs = -1;
    this.count = 0;
    if (lenOf(text) > MAX_ANSWER || !this.whole()) {
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
    return this.over() && verdicts && this.version >= 0 && this.nextMs >= 0;
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
}
