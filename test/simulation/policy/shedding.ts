/**
 * The pure part of overload-shedding as a module of its own: workers of one process, numbered from 0, with their records
 * in plain memory instead of shared data.
 */
// Compiled in for its name: the build puts it in place of AssemblyScript's own.
import 'proxy-wasm-assemblyscript-sdk/abi/abort';
import { ptrOf, Slice, slice } from 'proxy-wasm-assemblyscript-sdk/slice';
import { Callee, Fate } from '../../../filters/overload-shedding/callers';
import { RECORD_SIZE } from '../../../filters/overload-shedding/merge';
import { Peers, Shedder } from '../../../filters/overload-shedding/policy';
import { COHORTS } from '../../../filters/overload-shedding/priority';

const LIFE_MS: f64 = 350;

/** A worker's live cell, and its view of the others'. */
@final
class Cell extends Peers {
  ownInFlight: f64 = 0;
  ownAdmitted: f64 = 0;
  time: f64 = -1e9;

  exchange(inFlight: i32, admitted: u32, now: f64): void {
    this.ownInFlight = inFlight;
    this.ownAdmitted = admitted;
    this.time = now;
    this.inFlight = 0;
    this.admitted = 0;
    for (let i = 0; i < workers.length; i++) {
      const other = workers[i].cell;
      if (other === this || now - other.time > LIFE_MS) continue;
      this.inFlight += other.ownInFlight;
      this.admitted += other.ownAdmitted;
    }
  }
}

@final
class Worker {
  readonly record: usize = heap.alloc(RECORD_SIZE);

  constructor(
    readonly cell: Cell,
    readonly shedder: Shedder,
  ) {
    memory.fill(this.record, 0, RECORD_SIZE);
  }
}

function newWorker(target: f64): Worker {
  const cell = new Cell();
  return new Worker(cell, new Shedder(target, cell));
}

const workers: Array<Worker> = [];

/** Starts anew with `count` workers. */
export function create(count: i32, target: f64): void {
  callee = new Callee();
  workers.length = 0;
  for (let i = 0; i < count; i++) workers.push(newWorker(target));
}

/** A VM that was replaced: the worker begins with nothing but what shared data holds. */
export function replace(worker: i32, target: f64): void {
  workers[worker] = newWorker(target);
}

/** A request arrives. Number of the admitted request, or 0 when it is refused. */
export function arrive(worker: i32, class_: i32, cohort: i32, dropped: f64, now: f64): u32 {
  const shedder = workers[worker].shedder;
  if (!shedder.hot) {
    if (shedder.admitCalm(now)) return shedder.lastNumber;
    shedder.count(class_, dropped);
  } else {
    shedder.offer(class_, dropped);
  }
  return shedder.judge(class_, cohort, now) ? shedder.lastNumber : 0;
}

/** Whether a hot worker would admit such a request now. */
export function admits(worker: i32, class_: i32, cohort: i32, now: f64): bool {
  return workers[worker].shedder.admits(class_, cohort, now);
}

let callee: Callee = new Callee();

/** What the caller does with a request: a `Fate`. */
export function callerJudges(class_: i32, cohort: i32, now: f64): i32 {
  return callee.active ? callee.judge(class_, cohort, now) : Fate.Send;
}

export function callerDropped(class_: i32): u32 {
  return callee.takeDropped(class_);
}

export function callerHears(threshold: i32, now: f64): void {
  callee.refused(1, threshold, now);
}

export function callerAnswered(class_: i32, cohort: i32, now: f64): void {
  if (callee.active) callee.answered(1, class_ * COHORTS + cohort, now);
}

/** `how` is an `End`; `t2` `NaN` where the application reports none. */
export function end(worker: i32, number: u32, how: i32, t3: f64, t2: f64, now: f64): void {
  workers[worker].shedder.end(number, how, t3, t2, now);
}

export function tick(worker: i32, cpu: f64, now: f64): void {
  const own = workers[worker];
  own.shedder.begin(now);
  for (let i = 0; i < workers.length; i++) {
    if (i !== worker) own.shedder.merge(slice(workers[i].record, RECORD_SIZE), i, now);
  }
  const record = own.shedder.finish(worker, cpu, now);
  memory.copy(own.record, ptrOf(record), RECORD_SIZE);
}

export function isHot(worker: i32): bool {
  return workers[worker].shedder.hot;
}

export function thresholdOf(worker: i32): i32 {
  return workers[worker].shedder.threshold;
}

export function toldBy(worker: i32): i32 {
  return workers[worker].shedder.told;
}

export function inFlightOf(worker: i32, now: f64): i32 {
  return workers[worker].shedder.flight.count(now);
}

/** In flight on the others, as the worker believes. */
export function peersOf(worker: i32): f64 {
  return workers[worker].cell.any ? workers[worker].cell.inFlight : 0;
}

export function queueOf(worker: i32): f64 {
  return workers[worker].shedder.queueing();
}

export function provenOf(worker: i32): f64 {
  return workers[worker].shedder.estimator.proven * 1000;
}

export function baseOf(worker: i32): f64 {
  return workers[worker].shedder.estimator.base;
}

/** Overwrites a worker's record, for records that nobody should have written. */
export function recordOf(worker: i32): Slice {
  return slice(workers[worker].record, RECORD_SIZE);
}
