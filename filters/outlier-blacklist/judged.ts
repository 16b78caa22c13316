/** A host as the judge knows it: its windows, and where it stands between good and out. */
import { lenOf, ptrOf, Slice, slice } from 'proxy-wasm-assemblyscript-sdk/slice';
import { addressOf, HOST, laneOf, SERVICE } from './row';
import { Window } from './window';

export enum HostState {
  Good,
  /** Gets nothing until its cool-down is over. */
  Out,
  /** Its cool-down is over; a probe decides. */
  Probe,
  /** Gets a share that grows. */
  Ramp,
}

export enum Reason {
  None,
  Errors,
  Connections,
  Slow,
  Probe,
  /** Others say so; see `held`. */
  Centre,
}

/** Shares in percent of the steps back. */
const STEPS: StaticArray<i32> = [5, 10, 25, 50];
export const STEP_COUNT: i32 = 4;

/** Seconds of the long window. */
const SECONDS: i32 = 10;

@final
export class Judged {
  readonly host: u64;
  readonly service: u64;
  /** Where lane and address are kept; given back by `free`. */
  private readonly bytes: usize;
  readonly lane: Slice;
  readonly address: Slice;

  state: HostState = HostState.Good;
  reason: Reason = Reason.None;
  /** End of the cool-down or of the step, ms. */
  until: i64 = 0;
  /** Times in a row that it was listed: the cool-down doubles with each. */
  times: i32 = 0;
  step: i32 = 0;
  /** Last time that it was put out, ms. */
  listedAt: i64 = 0;
  /** A probe is on its way. */
  probing: bool = false;
  /** The healing centre wants it out. */
  wanted: bool = false;
  /** It is kept out for that, wherever it stands by our own judgement. */
  held: bool = false;
  /** Last time that this began, ms. */
  heldAt: i64 = 0;

  /** When some worker last published it. */
  seen: i64 = 0;
  /** Sums over all workers, now and at the tick before. */
  readonly total: Window = new Window();
  readonly before: Window = new Window();
  /** Connection failures with no answer between them. */
  failuresInARow: u32 = 0;

  readonly delta: Window = new Window();
  /** Since this judge began, modulo 2^32. */
  allRequests: u32 = 0;
  allErrors: u32 = 0;
  /** Grows until it holds enough requests to be judged. */
  readonly open: Window = new Window();
  opened: i64 = 0;
  /** The one judged last. */
  readonly closed: Window = new Window();
  closedAt: i64 = 0;
  badWindows: i32 = 0;
  slowWindows: i32 = 0;
  /** Looks into the long window that found it far from the others, in a row. */
  farLooks: i32 = 0;
  private readonly requests: StaticArray<u32> = new StaticArray<u32>(SECONDS);
  private readonly errors: StaticArray<u32> = new StaticArray<u32>(SECONDS);
  longRequests: u32 = 0;
  longErrors: u32 = 0;

  /** `known`: what its workers have counted so far is new, not history that the judge has not seen. */
  constructor(
    row: usize,
    private known: bool,
  ) {
    this.host = load<u64>(row, HOST);
    this.service = load<u64>(row, SERVICE);
    const lane = laneOf(row);
    const address = addressOf(row);
    const bytes = heap.alloc(lenOf(lane) + lenOf(address) + 1);
    memory.copy(bytes, ptrOf(lane), lenOf(lane));
    memory.copy(bytes + lenOf(lane), ptrOf(address), lenOf(address));
    this.bytes = bytes;
    this.lane = slice(bytes, lenOf(lane));
    this.address = slice(bytes + lenOf(lane), lenOf(address));
  }

  free(): void {
    heap.free(this.bytes);
  }

  /** Percent of its usual share that it gets. */
  share(): i32 {
    if (this.held) return 0;
    if (this.state === HostState.Good) return 100;
    return this.state === HostState.Ramp ? unchecked(STEPS[min(this.step, STEP_COUNT - 1)]) : 0;
  }

  /** Takes what has been summed since the last tick into the windows. `second` is the time in whole seconds. */
  gather(now: i64, second: i64): void {
    const delta = this.delta;
    // What a worker had counted before this judge began is history.
    if (this.known) delta.difference(this.total, this.before);
    else delta.clear();
    this.known = true;
    this.before.copy(this.total);
    this.allRequests += delta.requests;
    this.allErrors += delta.errors;
    if (delta.requests > delta.failures) this.failuresInARow = 0;
    this.failuresInARow += delta.failures;
    // A window begins with the first error, so that the good answers before it do not hide a host that has just failed.
    if (this.open.errors === 0 && delta.errors > 0) this.open.clear();
    if (this.open.requests === 0) this.opened = now;
    this.open.add(delta);
    const at = (second % SECONDS) as i32;
    unchecked((this.requests[at] += delta.requests));
    unchecked((this.errors[at] += delta.errors));
    this.longRequests += delta.requests;
    this.longErrors += delta.errors;
  }

  /** A new second begins: what was counted ten seconds ago is forgotten. */
  turn(second: i64): void {
    const at = (second % SECONDS) as i32;
    this.longRequests -= unchecked(this.requests[at]);
    this.longErrors -= unchecked(this.errors[at]);
    unchecked((this.requests[at] = 0));
    unchecked((this.errors[at] = 0));
  }

  /** Begins to be judged afresh. */
  forget(now: i64): void {
    this.open.clear();
    this.closed.clear();
    this.opened = now;
    this.badWindows = 0;
    this.slowWindows = 0;
    this.farLooks = 0;
    this.failuresInARow = 0;
    this.requests.fill(0);
    this.errors.fill(0);
    this.longRequests = 0;
    this.longErrors = 0;
  }

  longRate(): f64 {
    return this.longRequests === 0 ? 0 : (this.longErrors as f64) / (this.longRequests as f64);
  }

  /** The share of errors of late, or -1 when too little is known of it. */
  recentRate(): f64 {
    const open = this.open;
    if (open.requests >= 8) return open.rate();
    const requests = open.requests + this.closed.requests;
    if (requests >= 8) return ((open.errors + this.closed.errors) as f64) / (requests as f64);
    return this.longRequests >= 5 ? this.longRate() : -1;
  }
}
