/**
 * One host's counts as a worker publishes them, and the record that holds them: little endian, fixed offsets, so that
 * reading allocates nothing. Counts only ever rise (modulo 2^32): who reads takes differences, so that no publication
 * that is missed loses anything.
 *
 *   record   u64 time (ms) | u32 rows | u32 unused | row *
 *   row      u64 host | u64 service | u32 requests | u32 errors | u32 of them connection failures | u8 lane length |
 *            u8 address length | u16 unused | u32 successes by time * 24 | lane, 64 bytes | address, 48 bytes
 */
import { hash64, lenOf, mix64, ptrOf, Slice, slice } from 'proxy-wasm-assemblyscript-sdk/slice';

export const RECORD_HEAD: i32 = 16;
export const ROW_SIZE: i32 = 240;
/** Hosts of all services together that a worker counts; the requests of further ones are not judged. */
export const MAX_HOSTS: i32 = 512;
export const MAX_LANE: i32 = 63;
/** `[ipv6]:port` at its longest is 47. */
export const MAX_ADDRESS: i32 = 48;

/** Classes of response time: two to the octave from 1 ms to 3 s. */
export const TIMES: i32 = 24;

export const HOST: usize = 0;
export const SERVICE: usize = 8;
export const REQUESTS: usize = 16;
export const ERRORS: usize = 20;
export const FAILURES: usize = 24;
const LANE_LENGTH: usize = 28;
const ADDRESS_LENGTH: usize = 29;
export const BY_TIME: usize = 32;
const LANE: usize = 128;
const ADDRESS: usize = 192;

/** A host is an address of a service: one process that serves two of them may be bad at one. Never 0. */
export function hostKey(service: u64, address: Slice): u64 {
  return hostKeyOf(service, hash64(address));
}

/** The same by the address' `hash64`. */
export function hostKeyOf(service: u64, address: u64): u64 {
  return mix64(address ^ service) | 1;
}

export function startRow(row: usize, service: u64, lane: Slice, address: Slice): void {
  memory.fill(row, 0, ROW_SIZE);
  store<u64>(row, hostKey(service, address), HOST);
  store<u64>(row, service, SERVICE);
  store<u8>(row, min(lenOf(lane), MAX_LANE) as u8, LANE_LENGTH);
  store<u8>(row, min(lenOf(address), MAX_ADDRESS) as u8, ADDRESS_LENGTH);
  memory.copy(row + LANE, ptrOf(lane), load<u8>(row, LANE_LENGTH));
  memory.copy(row + ADDRESS, ptrOf(address), load<u8>(row, ADDRESS_LENGTH));
}

export function laneOf(row: usize): Slice {
  return slice(row + LANE, min<i32>(load<u8>(row, LANE_LENGTH), MAX_LANE));
}

export function addressOf(row: usize): Slice {
  return slice(row + ADDRESS, min<i32>(load<u8>(row, ADDRESS_LENGTH), MAX_ADDRESS));
}

/** Class of a time in microseconds. */
export function timeClass(micros: u64): i32 {
  const ms = min<u64>(micros >> 10, 0xffff) as u32;
  if (ms === 0) return 0;
  const octave = 31 - clz(ms);
  const half = octave === 0 ? 0 : (ms >> (octave - 1)) & 1;
  return min<i32>(1 + 2 * octave + half, TIMES - 1);
}

/** Middle of a class in milliseconds. */
export function timeOfClass(index: i32): f64 {
  if (index === 0) return 0.5;
  const octave = (index - 1) >> 1;
  return ((1 << octave) as f64) * (((index - 1) & 1) === 0 ? 1.25 : 1.75);
}

/** What became of a request, as far as the host can be blamed or praised for it. */
export enum Outcome {
  Success,
  /** An answer that says that the host failed, or none in time. */
  Error,
  /** The connection could not be made or broke before an answer. */
  ConnectionFailure,
  /** A tunnel, such as a WebSocket: an answer, but how long it was open is its users' affair. */
  Tunnel,
}

/** Adds a request to its host's row. */
export function countRequest(row: usize, outcome: Outcome, micros: u64): void {
  store<u32>(row, load<u32>(row, REQUESTS) + 1, REQUESTS);
  if (outcome === Outcome.Success) {
    const at = row + ((timeClass(micros) as usize) << 2);
    store<u32>(at, load<u32>(at, BY_TIME) + 1, BY_TIME);
    return;
  }
  if (outcome === Outcome.Tunnel) return;
  store<u32>(row, load<u32>(row, ERRORS) + 1, ERRORS);
  if (outcome === Outcome.ConnectionFailure) store<u32>(row, load<u32>(row, FAILURES) + 1, FAILURES);
}
