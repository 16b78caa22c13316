/**
 * What outlier-blacklist and the agent tell each other for the healing centre, in shared data. Little endian, fixed offsets.
 *
 *   v1/outlier/report    by the judging worker, each second while an agent has a centre: services, and what has become of hosts
 *     i64 time (ms) | u32 services | u32 rows | service * | row *
 *       service: u8 length | name, 47 bytes
 *       row:     u32 requests | u32 errors | u8 number of its service | u8 listed | u8 address length | u8 0 | address, 52 bytes
 *     Counts only ever rise, until another worker begins to judge: then they begin anew.
 *   v1/centre/verdicts   by the agent, each second: which hosts the centre wants out
 *     i64 time (ms) | u32 rows | u32 0 | row *
 *       row:     u64 hash64 of the service's name | u64 hash64 of the address | i64 until (ms)
 */
import { byteAt, lenOf, ptrOf, Slice, slice } from 'proxy-wasm-assemblyscript-sdk/slice';

export const REPORT_KEY: string = 'v1/outlier/report';
export const VERDICTS_KEY: string = 'v1/centre/verdicts';

/** Most services and hosts of a report, and most verdicts that hold: what outlier-blacklist counts. */
export const MAX_SERVICES: i32 = 200;
export const MAX_ROWS: i32 = 512;
/** No verdict holds longer, whatever anybody says. */
export const MAX_VERDICT_MS: i64 = 60_000;
/** A version is a time in milliseconds, or one more than the last: none lies further ahead than clocks may. */
export const AHEAD_MS: i64 = 86_400_000;
/** A record that was written so long ago says nothing: who wrote it has gone. Clocks may differ by as much. */
const SILENT_MS: i64 = 10_000;

const HEAD: i32 = 16;
const SERVICE_SIZE: i32 = 48;
const ROW_SIZE: i32 = 64;
const MAX_NAME: i32 = 40;
const MAX_ADDRESS: i32 = 52;
const ADDRESS: usize = 12;
const VERDICT_SIZE: i32 = 24;

export const REPORT_SIZE: i32 = HEAD + MAX_SERVICES * SERVICE_SIZE + MAX_ROWS * ROW_SIZE;
export const VERDICTS_SIZE: i32 = HEAD + MAX_ROWS * VERDICT_SIZE;

function spoken(record: Slice, now: i64): bool {
  if (lenOf(record) < HEAD) return false;
  const apart = now - load<i64>(ptrOf(record));
  return apart <= SILENT_MS && apart >= -SILENT_MS;
}

/** Writes a report: all services first, then the hosts. */
@final
export class ReportWriter {
  private readonly start: usize = heap.alloc(REPORT_SIZE);
  private services: i32 = 0;
  private rows: i32 = 0;

  begin(): void {
    this.services = 0;
    this.rows = 0;
  }

  /** Its number in the report; -1 of a service whose name is none to the centre, or one too many. */
  service(name: Slice): i32 {
    if (this.services >= MAX_SERVICES || this.rows > 0 || !isServiceName(name)) return -1;
    const at = this.start + HEAD + this.services * SERVICE_SIZE;
    store<u8>(at, lenOf(name) as u8);
    memory.copy(at + 1, ptrOf(name), lenOf(name));
    return this.services++;
  }

  /** A host that is one too many, or none to the centre, is left out. */
  host(service: i32, address: Slice, requests: u32, errors: u32, listed: bool): void {
    if (service < 0 || this.rows >= MAX_ROWS || !isHost(address)) return;
    const at = this.start + HEAD + this.services * SERVICE_SIZE + this.rows++ * ROW_SIZE;
    store<u32>(at, requests);
    store<u32>(at, errors, 4);
    store<u8>(at, service as u8, 8);
    store<u8>(at, listed ? 1 : 0, 9);
    store<u16>(at, lenOf(address) as u16, 10);
    memory.copy(at + ADDRESS, ptrOf(address), lenOf(address));
  }

  finish(now: i64): Slice {
    store<i64>(this.start, now);
    store<u32>(this.start, this.services, 8);
    store<u32>(this.start, this.rows, 12);
    return slice(this.start, HEAD + this.services * SERVICE_SIZE + this.rows * ROW_SIZE);
  }

  free(): void {
    heap.free(this.start);
  }
}

/** Reads a report, whatever is in it. */
@final
export class ReportReader {
  services: i32 = 0;
  rows: i32 = 0;
  private start: usize = 0;
  private row: usize = 0;

  /** False when nobody reports. */
  open(report: Slice, now: i64): bool {
    this.services = 0;
    this.rows = 0;
    if (!spoken(report, now)) return false;
    this.start = ptrOf(report) + HEAD;
    const room = lenOf(report) - HEAD;
    this.services = min<u32>(load<u32>(ptrOf(report), 8), min(room / SERVICE_SIZE, MAX_SERVICES) as u32) as i32;
    const left = (room - this.services * SERVICE_SIZE) / ROW_SIZE;
    this.rows = min<u32>(load<u32>(ptrOf(report), 12), min(left, MAX_ROWS) as u32) as i32;
    return true;
  }

  service(number: i32): Slice {
    const at = this.start + number * SERVICE_SIZE;
    return slice(at + 1, min<i32>(load<u8>(at), MAX_NAME));
  }

  at(number: i32): ReportReader {
    this.row = this.start + this.services * SERVICE_SIZE + number * ROW_SIZE;
    return this;
  }

  get requests(): u32 {
    return load<u32>(this.row);
  }

  get errors(): u32 {
    return min(load<u32>(this.row, 4), this.requests);
  }

  get serviceNumber(): i32 {
    return min<i32>(load<u8>(this.row, 8), this.services - 1);
  }

  get listed(): bool {
    return load<u8>(this.row, 9) === 1;
  }

  get address(): Slice {
    return slice(this.row + ADDRESS, min<i32>(load<u8>(this.row, 10), MAX_ADDRESS));
  }
}

/** What the centre calls a service: `[a-z0-9-]`, at most 40 bytes, no hyphen at either end. */
export function isServiceName(name: Slice): bool {
  const length = lenOf(name);
  if (length === 0 || length > MAX_NAME) return false;
  for (let i = 0; i < length; i++) {
    const byte = byteAt(name, i);
    const plain = (byte >= 0x61 && byte <= 0x7a) || isDigit(byte);
    if (!plain && (byte !== 0x2d || i === 0 || i === length - 1)) return false;
  }
  return true;
}

/** What the centre calls a host: `ip:port`, an IPv6 address in brackets. */
export function isHost(address: Slice): bool {
  const length = lenOf(address);
  if (length < 5 || length > MAX_ADDRESS) return false;
  let port = length;
  while (port > 0 && isDigit(byteAt(address, port - 1))) port--;
  if (port === length || length - port > 5 || port < 4 || byteAt(address, port - 1) !== 0x3a) return false;
  for (let i = 0; i < port; i++) {
    const byte = byteAt(address, i);
    const lower = byte | 0x20;
    const hex = isDigit(byte) || (lower >= 0x61 && lower <= 0x66);
    if (!hex && byte !== 0x2e && byte !== 0x3a && byte !== 0x5b && byte !== 0x5d) return false;
  }
  return true;
}

function isDigit(byte: u8): bool {
  return byte >= 0x30 && byte <= 0x39;
}

/** Whether an agent has a centre to tell. */
export function hasCentre(verdicts: Slice, now: i64): bool {
  return spoken(verdicts, now);
}

/** Verdicts of a record that can be read. */
export function verdictsOf(verdicts: Slice, now: i64): i32 {
  if (!spoken(verdicts, now)) return 0;
  const held = min((lenOf(verdicts) - HEAD) / VERDICT_SIZE, MAX_ROWS);
  return min<u32>(load<u32>(ptrOf(verdicts), 8), held as u32) as i32;
}

export function verdictService(verdicts: Slice, number: i32): u64 {
  return load<u64>(ptrOf(verdicts) + HEAD + number * VERDICT_SIZE);
}

/** `hash64` of the address. */
export function verdictHost(verdicts: Slice, number: i32): u64 {
  return load<u64>(ptrOf(verdicts) + HEAD + number * VERDICT_SIZE, 8);
}

/** An end that lies too far ahead is a clock's doing, or somebody's: such a verdict does not hold at all. */
export function verdictHolds(verdicts: Slice, number: i32, now: i64): bool {
  return holds(load<i64>(ptrOf(verdicts) + HEAD + number * VERDICT_SIZE, 16), now);
}

export function holds(until: i64, now: i64): bool {
  return until > now && until - now <= MAX_VERDICT_MS;
}

export function writeVerdict(to: usize, number: i32, service: u64, host: u64, until: i64): void {
  const at = to + HEAD + number * VERDICT_SIZE;
  store<u64>(at, service);
  store<u64>(at, host, 8);
  store<i64>(at, until, 16);
}

export function finishVerdicts(to: usize, rows: i32, now: i64): Slice {
  store<i64>(to, now);
  store<u64>(to, rows as u64, 8);
  return slice(to, HEAD + rows * VERDICT_SIZE);
}
