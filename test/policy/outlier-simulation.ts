/** A proxy's callers, hosts and judge in simulated time: four ticks a second, spread evenly, drawn from a seed. */
import { ascii, mix64, Slice } from 'proxy-wasm-assemblyscript-sdk/slice';
import { HostState, Judged } from '../../filters/outlier-blacklist/judged';
import { Judge, Law } from '../../filters/outlier-blacklist/policy';
import { countRequest, hostKey, Outcome, ROW_SIZE, startRow } from '../../filters/outlier-blacklist/row';

export const TICK: i64 = 250;
const SERVICE: u64 = 77;

export class Simulation {
  judge: Judge;
  now: i64 = 1_000_000;
  /** By host: share of errors, of connection failures, mean time in ms. */
  errors: f64[] = [];
  failures: f64[] = [];
  millis: f64[] = [];
  sent: i32[] = [];
  failed: i32[] = [];
  /** Listings of each host so far. */
  listings: i32[] = [];
  private rows: usize[] = [];
  private keys: u64[] = [];
  private random: u64;
  private owed: f64 = 0;

  constructor(
    hosts: i32,
    /** Requests a second, over all hosts. */
    public rate: f64,
    seed: u64 = 1,
    law: Law = new Law(),
  ) {
    this.random = seed;
    this.judge = new Judge(law, seed);
    for (let i = 0; i < hosts; i++) this.addHost(ascii('127.0.0.' + (i + 1).toString() + ':9080'));
    this.tick();
  }

  addHost(address: Slice): void {
    const row = heap.alloc(ROW_SIZE);
    startRow(row, SERVICE, ascii('base'), address);
    this.rows.push(row);
    this.keys.push(hostKey(SERVICE, address));
    this.errors.push(0);
    this.failures.push(0);
    this.millis.push(10);
    this.sent.push(0);
    this.failed.push(0);
    this.listings.push(0);
  }

  host(index: i32): Judged {
    return this.judge.find(this.keys[index])!;
  }

  state(index: i32): HostState {
    return this.host(index).state;
  }

  draw(): f64 {
    this.random = mix64(this.random + 0x9e3779b97f4a7c15);
    return ((this.random >> 11) as f64) / 9007199254740992.0;
  }

  /** One tick of traffic, spread over the hosts as their shares say, then judged. Probes find the host as it is. */
  tick(): void {
    this.owed += (this.rate * (TICK as f64)) / 1000;
    while (this.owed >= 1) {
      this.owed -= 1;
      this.request(this.pick());
    }
    this.now += TICK;
    this.judge.begin();
    for (let i = 0; i < this.rows.length; i++) this.judge.add(this.rows[i], this.now);
    const before: HostState[] = [];
    for (let i = 0; i < this.keys.length; i++) before.push(this.state(i));
    this.judge.judge(this.now);
    for (let i = 0; i < this.keys.length; i++) {
      if (this.state(i) === HostState.Probe) {
        this.judge.probed(this.keys[i], this.draw() >= this.errors[i] + this.failures[i], this.now);
      }
      if (this.state(i) === HostState.Out && before[i] !== HostState.Out) this.listings[i]++;
    }
  }

  run(seconds: i32): void {
    for (let i = 0; i < seconds * 4; i++) this.tick();
  }

  /** Ticks until the host is out; -1 when it is not within the time. */
  ticksUntilOut(index: i32, seconds: i32): i32 {
    for (let i = 1; i <= seconds * 4; i++) {
      this.tick();
      if (this.state(index) === HostState.Out) return i;
    }
    return -1;
  }

  totalListings(): i32 {
    let sum = 0;
    for (let i = 0; i < this.listings.length; i++) sum += this.listings[i];
    return sum;
  }

  private pick(): i32 {
    while (true) {
      const i = (this.draw() * (this.keys.length as f64)) as i32;
      const host = this.judge.find(this.keys[i]);
      if (host === null || this.draw() * 100 < (host.share() as f64)) return i;
    }
  }

  private request(i: i32): void {
    this.sent[i]++;
    const draw = this.draw();
    if (draw < this.failures[i]) {
      this.failed[i]++;
      countRequest(this.rows[i], Outcome.ConnectionFailure, 0);
    } else if (draw < this.failures[i] + this.errors[i]) {
      this.failed[i]++;
      countRequest(this.rows[i], Outcome.Error, 0);
    } else {
      // Exponential: the hardest of the usual shapes to tell a slow host from.
      const micros = -Math.log(1 - this.draw()) * this.millis[i] * 1000;
      countRequest(this.rows[i], Outcome.Success, micros as u64);
    }
  }
}
