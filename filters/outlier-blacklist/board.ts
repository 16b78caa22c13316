/**
 * What the judging worker tells the others: every host of each lane that has one which is not good. Laid out like the
 * record of counts (row.ts), but each row holds a state where that one holds counts:
 *
 *   record   u64 version | u32 rows | u32 unused | row *
 *   row      … u8 state | u8 share in percent | u8 step | u8 times listed in a row | … i64 until (ms) …
 */
import { lenOf, ptrOf, Slice, slice } from 'proxy-wasm-assemblyscript-sdk/slice';
import { HostState, Judged } from './judged';
import { Judge } from './policy';
import { BY_TIME, MAX_HOSTS, RECORD_HEAD, REQUESTS, ROW_SIZE, startRow } from './row';

const STATE: usize = REQUESTS;
const SHARE: usize = REQUESTS + 1;
const STEP: usize = REQUESTS + 2;
const TIMES_LISTED: usize = REQUESTS + 3;
const UNTIL: usize = BY_TIME;

/** Whole rows of a record, bounded by what it says and by what it holds. */
export function rowsOf(record: Slice): i32 {
  if (lenOf(record) < RECORD_HEAD) return 0;
  const held = (lenOf(record) - RECORD_HEAD) / ROW_SIZE;
  return min<u32>(load<u32>(ptrOf(record), 8), min(held, MAX_HOSTS) as u32) as i32;
}

export function rowOf(record: Slice, number: i32): usize {
  return ptrOf(record) + RECORD_HEAD + number * ROW_SIZE;
}

/** Version of a board, or time of a record of counts; 0 of one that is neither. */
export function stampOf(record: Slice): u64 {
  return lenOf(record) < RECORD_HEAD ? 0 : load<u64>(ptrOf(record));
}

export function stateOf(row: usize): HostState {
  return min<u8>(load<u8>(row, STATE), HostState.Ramp as u8) as HostState;
}

export function shareOf(row: usize): i32 {
  return min<i32>(load<u8>(row, SHARE), 100);
}

/** Writes the board into `to`, which has room for `MAX_HOSTS` rows. */
export function writeBoard(to: usize, judge: Judge, version: u64): Slice {
  let rows = 0;
  for (let i = 0; i < judge.groups.length; i++) {
    const group = judge.groups[i];
    if (group.out() + group.held === 0) continue;
    for (let j = 0; j < group.hosts.length && rows < MAX_HOSTS; j++) {
      writeRow(to + RECORD_HEAD + ROW_SIZE * rows++, group.hosts[j]);
    }
  }
  store<u64>(to, version);
  store<u64>(to, rows as u64, 8);
  return slice(to, RECORD_HEAD + rows * ROW_SIZE);
}

function writeRow(row: usize, host: Judged): void {
  startRow(row, host.service, host.lane, host.address);
  store<u8>(row, host.state as u8, STATE);
  store<u8>(row, host.share() as u8, SHARE);
  store<u8>(row, host.step as u8, STEP);
  store<u8>(row, host.times as u8, TIMES_LISTED);
  store<i64>(row, host.until, UNTIL);
}

/** Hands a board that another worker left to a judge that begins. */
export function restoreBoard(board: Slice, judge: Judge, now: i64): void {
  for (let i = 0, n = rowsOf(board); i < n; i++) {
    const row = rowOf(board, i);
    judge.restore(row, stateOf(row), load<u8>(row, TIMES_LISTED), load<u8>(row, STEP), load<i64>(row, UNTIL), now);
  }
}
