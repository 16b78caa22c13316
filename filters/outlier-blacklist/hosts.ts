/** The hosts that this worker knows, with its own counts of each: the record that it publishes, and the lanes' hosts. */
import { equal, lenOf, ptrOf, Slice, slice } from 'proxy-wasm-assemblyscript-sdk/slice';
import { Pool } from './pool';
import { HOST, hostKey, laneOf, MAX_HOSTS, RECORD_HEAD, REQUESTS, ROW_SIZE, SERVICE, startRow } from './row';

/** A host that was not asked for so long is forgotten unless the configuration names it, ms. */
const IDLE_MS: i64 = 60_000;
/** Twice as many as hosts, so that a look-up ends soon. */
const SLOTS: i32 = 2 * MAX_HOSTS;

/** A lane of a service that has hosts. */
@final
export class LaneHosts {
  hosts: i32 = 0;
  /** Chosen from when something of the lane is listed; null leaves the choice to the load balancer. */
  pool: Pool | null = null;
  /** Chosen from when nothing is. */
  usual: Pool | null = null;
  private readonly bytes: StaticArray<u8>;
  readonly lane: Slice;

  constructor(
    readonly service: u64,
    lane: Slice,
  ) {
    this.bytes = new StaticArray<u8>(lenOf(lane));
    memory.copy(changetype<usize>(this.bytes), ptrOf(lane), lenOf(lane));
    this.lane = slice(changetype<usize>(this.bytes), lenOf(lane));
  }
}

@final
export class Hosts {
  count: i32 = 0;
  readonly lanes: LaneHosts[] = [];
  /** Requests whose host was one too many. */
  dropped: i32 = 0;

  private readonly record: usize = heap.alloc(RECORD_HEAD + MAX_HOSTS * ROW_SIZE);
  /** Row number plus one by key; 0 = free. */
  private readonly index: StaticArray<i32> = new StaticArray<i32>(SLOTS);
  private readonly fixed: StaticArray<bool> = new StaticArray<bool>(MAX_HOSTS);
  private readonly requestsBefore: StaticArray<u32> = new StaticArray<u32>(MAX_HOSTS);
  private readonly idleSince: StaticArray<i64> = new StaticArray<i64>(MAX_HOSTS);

  free(): void {
    heap.free(this.record);
  }

  row(number: i32): usize {
    return this.record + RECORD_HEAD + number * ROW_SIZE;
  }

  /** The row of an address of a service, 0 when it is not known. Allocates nothing. */
  find(service: u64, address: Slice): usize {
    return this.findKey(hostKey(service, address));
  }

  findKey(key: u64): usize {
    let i = (key as i32) & (SLOTS - 1);
    while (true) {
      const number = unchecked(this.index[i]);
      if (number === 0) return 0;
      if (load<u64>(this.row(number - 1), HOST) === key) return this.row(number - 1);
      i = (i + 1) & (SLOTS - 1);
    }
  }

  /** Makes a host known; 0 when there are too many. `lane` is what it is in, should it be new. */
  add(service: u64, lane: Slice, address: Slice, fixed: bool, now: i64): usize {
    const known = this.find(service, address);
    if (known !== 0) return known;
    if (this.count >= MAX_HOSTS) {
      this.dropped++;
      return 0;
    }
    const number = this.count++;
    const row = this.row(number);
    startRow(row, service, lane, address);
    this.enter(number);
    unchecked((this.fixed[number] = fixed));
    unchecked((this.requestsBefore[number] = 0));
    unchecked((this.idleSince[number] = now));
    this.laneFor(service, laneOf(row)).hosts++;
    return row;
  }

  /** The hosts of a lane; null when none is known. */
  lane(service: u64, lane: Slice): LaneHosts | null {
    for (let i = 0, n = this.lanes.length; i < n; i++) {
      const hosts = unchecked(this.lanes[i]);
      if (hosts.service === service && equal(hosts.lane, lane)) return hosts;
    }
    return null;
  }

  private laneFor(service: u64, lane: Slice): LaneHosts {
    const known = this.lane(service, lane);
    if (known !== null) return known;
    const made = new LaneHosts(service, lane);
    this.lanes.push(made);
    return made;
  }

  /** What is to be published at `now`: valid until the next change. */
  published(now: i64): Slice {
    store<i64>(this.record, now);
    store<u64>(this.record, this.count as u64, 8);
    return slice(this.record, RECORD_HEAD + this.count * ROW_SIZE);
  }

  /** Forgets hosts that nothing was sent to for a minute. */
  age(now: i64): void {
    let gone = false;
    for (let i = this.count - 1; i >= 0; i--) {
      const requests = load<u32>(this.row(i), REQUESTS);
      if (unchecked(this.fixed[i]) || requests !== unchecked(this.requestsBefore[i])) {
        unchecked((this.requestsBefore[i] = requests));
        unchecked((this.idleSince[i] = now));
      } else if (now - unchecked(this.idleSince[i]) > IDLE_MS) {
        this.removeRow(i);
        gone = true;
      }
    }
    if (!gone) return;
    this.index.fill(0);
    for (let i = 0; i < this.count; i++) this.enter(i);
  }

  private removeRow(number: i32): void {
    const row = this.row(number);
    const lane = this.lane(load<u64>(row, SERVICE), laneOf(row));
    if (lane !== null && --lane.hosts === 0) this.lanes.splice(this.lanes.indexOf(lane), 1);
    const last = --this.count;
    if (number === last) return;
    memory.copy(row, this.row(last), ROW_SIZE);
    unchecked((this.fixed[number] = this.fixed[last]));
    unchecked((this.requestsBefore[number] = this.requestsBefore[last]));
    unchecked((this.idleSince[number] = this.idleSince[last]));
  }

  private enter(number: i32): void {
    let i = (load<u64>(this.row(number), HOST) as i32) & (SLOTS - 1);
    while (unchecked(this.index[i]) !== 0) i = (i + 1) & (SLOTS - 1);
    unchecked((this.index[i] = number + 1));
  }
}
