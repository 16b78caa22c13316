/**
 * What this proxy tells the centre: what has happened to each host since the last report that the centre took. A report that
 * was lost is no loss: its counts are in the next one.
 */
import { ascii, hash64, lenOf, mix64, ptrOf, Slice, slice } from 'proxy-wasm-assemblyscript-sdk/slice';
import { MAX_ROWS, ReportReader } from './centre-records';

const SLOTS: i32 = 2 * MAX_ROWS;
/** A row takes at most 183 bytes, a service's name 43. */
const BODY_SIZE: i32 = 128 * 1024;
const LONGEST_ROW: i32 = 192;

const SEQUENCE = ascii('{"sequence":');
const SINCE = ascii(',"since":');
const SERVICES = ascii(',"services":[');
const HOSTS = ascii('],"hosts":[');
const SERVICE = ascii('{"service":"');
const HOST = ascii('","host":"');
const REQUESTS = ascii('","requests":');
const ERRORS = ascii(',"errors":');
const LISTED = ascii(',"listed":true}');
const NOT_LISTED = ascii(',"listed":false}');
const END = ascii(']}');

/** Counts of hosts as the centre has them. */
@final
class Told {
  private readonly keys: StaticArray<u64> = new StaticArray<u64>(SLOTS);
  private readonly requests: StaticArray<u32> = new StaticArray<u32>(SLOTS);
  private readonly errors: StaticArray<u32> = new StaticArray<u32>(SLOTS);
  private readonly listed: StaticArray<bool> = new StaticArray<bool>(SLOTS);

  clear(): void {
    this.keys.fill(0);
  }

  /** Where a key is, or where it would be. A report holds half as many hosts as there are slots. */
  find(key: u64): i32 {
    let at = (key as i32) & (SLOTS - 1);
    while (unchecked(this.keys[at]) !== 0 && unchecked(this.keys[at]) !== key) at = (at + 1) & (SLOTS - 1);
    return at;
  }

  knows(at: i32): bool {
    return unchecked(this.keys[at]) !== 0;
  }

  requestsAt(at: i32): u32 {
    return unchecked(this.requests[at]);
  }

  errorsAt(at: i32): u32 {
    return unchecked(this.errors[at]);
  }

  listedAt(at: i32): bool {
    return this.knows(at) && unchecked(this.listed[at]);
  }

  put(key: u64, requests: u32, errors: u32, listed: bool): void {
    const at = this.find(key);
    unchecked((this.keys[at] = key));
    unchecked((this.requests[at] = requests));
    unchecked((this.errors[at] = errors));
    unchecked((this.listed[at] = listed));
  }
}

@final
export class Reports {
  /** Some host of the report built last is listed. */
  listed: bool = false;
  private told: Told = new Told();
  private telling: Told = new Told();
  private readonly body: usize = heap.alloc(BODY_SIZE);
  private at: usize = 0;

  /** Whether a host is listed that the centre does not know to be. */
  hasNews(report: ReportReader): bool {
    for (let i = 0; i < report.rows; i++) {
      const row = report.at(i);
      if (row.listed && !this.told.listedAt(this.told.find(keyOf(report, row)))) return true;
    }
    return false;
  }

  /** The body of a request, good until the next one. `report` has services. */
  build(report: ReportReader, sequence: i64, since: i64): Slice {
    this.at = this.body;
    this.listed = false;
    this.telling.clear();
    this.add(SEQUENCE).count(sequence).add(SINCE).count(since).add(SERVICES);
    for (let i = 0; i < report.services; i++) {
      if (i > 0) this.byte(0x2c);
      this.byte(0x22).add(report.service(i)).byte(0x22);
    }
    this.add(HOSTS);
    let first = true;
    for (let i = 0; i < report.rows; i++) first = this.row(report.at(i), first);
    this.add(END);
    return slice(this.body, this.at - this.body);
  }

  /** Answers whether the next row is the first one. */
  private row(row: ReportReader, first: bool): bool {
    const key = keyOf(row, row);
    const at = this.told.find(key);
    let requests = row.requests;
    let errors = row.errors;
    // Less than before: another worker has begun to count.
    if (this.told.knows(at) && requests >= this.told.requestsAt(at) && errors >= this.told.errorsAt(at)) {
      requests -= this.told.requestsAt(at);
      errors -= this.told.errorsAt(at);
    }
    if (row.listed) this.listed = true;
    this.telling.put(key, row.requests, row.errors, row.listed);
    if (requests === 0 && !row.listed && !this.told.listedAt(at)) return first;
    if (this.at + LONGEST_ROW > this.body + BODY_SIZE) return first;
    if (!first) this.byte(0x2c);
    this.add(SERVICE).add(row.service(row.serviceNumber)).add(HOST).add(row.address);
    this.add(REQUESTS).count(requests).add(ERRORS).count(min(errors, requests));
    this.add(row.listed ? LISTED : NOT_LISTED);
    return false;
  }

  /** The centre has taken the report built last. */
  taken(): void {
    const before = this.told;
    this.told = this.telling;
    this.telling = before;
  }

  private add(bytes: Slice): Reports {
    memory.copy(this.at, ptrOf(bytes), lenOf(bytes));
    this.at += lenOf(bytes);
    return this;
  }

  private byte(byte: u8): Reports {
    store<u8>(this.at++, byte);
    return this;
  }

  private count(value: i64): Reports {
    this.at += writeDecimal(this.at, value);
    return this;
  }
}

/** How many digits it took. `value` is not negative. */
export function writeDecimal(to: usize, value: i64): i32 {
  let digits = 1;
  for (let rest = value; rest >= 10; rest /= 10) digits++;
  let rest = value;
  for (let i = digits - 1; i >= 0; i--) {
    store<u8>(to + i, 0x30 + ((rest % 10) as u8));
    rest /= 10;
  }
  return digits;
}

function keyOf(report: ReportReader, row: ReportReader): u64 {
  return mix64(hash64(row.address) ^ hash64(report.service(row.serviceNumber))) | 1;
}
