/**
 * One worker's part in watching the hosts: it publishes its own counts, acts on the board, and, when it is the first of
 * the living workers, judges for all of them.
 *
 *   v1/outlier/counts#<worker>   written by that worker, every tick with news and once a second without
 *   v1/outlier/board             written by the judging worker alone, when a state has changed
 *
 * Of the healing centre it knows what the agent says (reporting.ts).
 */
import {
  ascii,
  Counter,
  Gauge,
  getShared,
  HttpCallHandler,
  httpCall,
  LogLevel,
  logs,
  logWarn,
  NO_SLOT,
  OVERWRITE,
  PairWriter,
  present,
  SLOT_COUNT,
  Slice,
  Status,
  setShared,
  text,
  WorkerSlot,
} from 'proxy-wasm-assemblyscript-sdk';
import { HOSTS } from '../headers';
import { restoreBoard, rowOf, rowsOf, shareOf, stampOf, writeBoard } from './board';
import { OutlierConfig } from './config';
import { Hosts, LaneHosts } from './hosts';
import { HostState, Judged, Reason } from './judged';
import { barred, reasonName, ServiceMetrics, spared, uncounted } from './metrics';
import { Judge } from './policy';
import { Pool } from './pool';
import { Reporting } from './reporting';
import { addressOf, laneOf, MAX_HOSTS, RECORD_HEAD, ROW_SIZE, SERVICE } from './row';
import { upstreamLane } from './sight';

/** A host has failed forty times before it is out; the ticks add at most two of these. */
export const TICK_MS: u32 = 250;
const SECOND: i64 = 1000;
/** Counts older than this are a dead worker's, ms. */
const DEAD_MS: i64 = 3 * SECOND;
const PROBE_TIMEOUT_MS: u32 = 1000;

const BOARD = ascii('v1/outlier/board');
const METHOD = ascii(':method');
const PATH = ascii(':path');
const AUTHORITY = ascii(':authority');
const AGENT = ascii('user-agent');
const GET = ascii('GET');
const PROBE_AGENT = ascii('causeway-probe');
const HOSTS_NAME = ascii(HOSTS);

const countsKeys = new StaticArray<u64>(SLOT_COUNT);
for (let i = 0; i < SLOT_COUNT; i++) countsKeys[i] = ascii('v1/outlier/counts#' + i.toString());

@final
class Probe extends HttpCallHandler {
  constructor(
    private readonly watch: Watch,
    private readonly host: u64,
  ) {
    super();
  }

  onAnswer(status: u32, bodySize: u32): void {
    this.watch.probed(this.host, status >= 200 && status < 400);
  }
}

@final
export class Watch {
  readonly hosts: Hosts = new Hosts();
  private readonly slot: WorkerSlot = new WorkerSlot('v1/outlier/worker', (TICK_MS as u64) * 4 * 1_000_000);
  private readonly metrics: ServiceMetrics[] = [];
  private readonly uncounted: Counter = uncounted();
  private readonly sparedGauge: Gauge = spared();
  private readonly barredGauge: Gauge = barred();
  private spared: i32 = 0;
  private barred: i32 = 0;
  /** By service: whether some lane of it has a pool. */
  private readonly choosing: StaticArray<bool>;
  private judge: Judge | null = null;
  private readonly reporting: Reporting;
  private written: u32 = 0;
  private board: u64 = 0;
  private readonly boardBytes: usize = heap.alloc(RECORD_HEAD + MAX_HOSTS * ROW_SIZE);
  private readonly request: PairWriter = new PairWriter(8);
  private time: i64 = 0;
  private fullAt: i64 = 0;

  constructor(
    readonly config: OutlierConfig,
    private readonly contextId: u32,
  ) {
    const services = config.services;
    this.reporting = new Reporting(services);
    this.choosing = new StaticArray<bool>(services.length);
    for (let i = 0; i < services.length; i++) {
      const service = services[i];
      this.metrics.push(new ServiceMetrics(service.label));
      for (let j = 0; j < service.hosts.length; j++) {
        const host = service.hosts[j];
        const lane = host.textOf('lane');
        this.hosts.add(service.id, present(lane) ? lane : config.baseline, host.textOf('address'), true, 0);
      }
    }
    for (let i = 0; i < services.length; i++) {
      if (present(services[i].hashHeader) && services[i].hosts.length > 0) this.spread(services[i].id);
    }
    this.settle();
    this.slot.prepare();
  }

  free(): void {
    const judge = this.judge;
    if (judge !== null) judge.free();
    this.hosts.free();
    this.reporting.free();
    heap.free(this.boardBytes);
  }

  /** Whether requests to the service may be given hosts at all. */
  chooses(service: i32): bool {
    return unchecked(this.choosing[service]);
  }

  lane(service: i32, lane: Slice): LaneHosts | null {
    return this.hosts.lane(unchecked(this.config.services[service]).id, lane);
  }

  countOverridden(service: i32): void {
    unchecked(this.metrics[service]).overridden.add();
  }

  /** The row of a host that has been asked, or 0 where it is not to be counted. At log time. */
  rowOf(service: i32, address: Slice): usize {
    const config = unchecked(this.config.services[service]);
    const known = this.hosts.find(config.id, address);
    if (known !== 0) return known;
    // The configuration names all hosts: this one has just gone.
    if (config.hosts.length > 0) return 0;
    const lane = upstreamLane();
    const row = this.hosts.add(config.id, present(lane) ? lane : this.config.baseline, address, false, this.time);
    if (row === 0) this.uncounted.add();
    return row;
  }

  tick(nanoseconds: u64): void {
    const now = (nanoseconds / 1_000_000) as i64;
    // Another filter of the context may ask for shorter ticks. A clock that jumped back is no reason to wait.
    if (now >= this.time && now - this.time < (TICK_MS as i64) / 2) return;
    this.time = now;
    const index = this.slot.beat(nanoseconds);
    if (index === NO_SLOT) return;
    if (now - this.fullAt >= SECOND) {
      this.fullAt = now;
      this.hosts.age(now);
    }
    setShared(unchecked(countsKeys[index]), this.hosts.published(now), OVERWRITE);
    if (this.slot.leads(nanoseconds)) this.lead(now);
    else this.stepDown();
    this.obey(getShared(BOARD));
  }

  private stepDown(): void {
    const judge = this.judge;
    if (judge !== null) judge.free();
    this.judge = null;
  }

  private lead(now: i64): void {
    let judge = this.judge;
    if (judge === null) {
      judge = new Judge(this.config.law, now as u64);
      restoreBoard(getShared(BOARD), judge, now);
      this.judge = judge;
      this.written = judge.changes;
    }
    judge.begin();
    for (let i = 0; i < SLOT_COUNT; i++) {
      const counts = getShared(unchecked(countsKeys[i]));
      const age = now - (stampOf(counts) as i64);
      if (age > DEAD_MS || age < -DEAD_MS) continue;
      for (let j = 0, n = rowsOf(counts); j < n; j++) judge.add(rowOf(counts, j), now);
    }
    this.reporting.read(judge, now);
    judge.judge(now);
    this.reporting.report(judge, now);
    this.showSpared(judge.spared, judge.holding.barred);
    for (let i = 0; i < judge.hosts.length; i++) this.follow(judge, judge.hosts[i], now);
    if (judge.changes === this.written) return;
    this.written = judge.changes;
    setShared(BOARD, writeBoard(this.boardBytes, judge, now as u64), OVERWRITE);
    this.measure(judge);
  }

  private showSpared(spared: i32, barred: i32): void {
    if (spared !== this.spared) this.sparedGauge.set(spared as u64);
    if (barred !== this.barred) this.barredGauge.set(barred as u64);
    this.spared = spared;
    this.barred = barred;
  }

  /** Says what has become of a host, and asks it where it is to be asked. */
  private follow(judge: Judge, host: Judged, now: i64): void {
    if (host.held && host.heldAt === now) this.reportHeld(host);
    if (host.listedAt === now) this.report(host, now);
    if (host.state !== HostState.Probe || host.probing) return;
    const number = this.config.numberOf(host.service);
    if (number < 0 || !present(this.config.services[number].probeCluster)) {
      judge.probed(host.host, true, now);
      return;
    }
    const service = this.config.services[number];
    host.probing = true;
    this.request
      .clear()
      .add(METHOD, GET)
      .add(PATH, service.probePath)
      .add(AUTHORITY, service.name)
      .add(AGENT, PROBE_AGENT)
      .add(HOSTS_NAME, host.address);
    const probe = new Probe(this, host.host);
    const status = httpCall(this.contextId, service.probeCluster, this.request, 0, PROBE_TIMEOUT_MS, probe);
    if (status !== Status.Ok) this.probed(host.host, false);
  }

  probed(host: u64, answered: bool): void {
    const judge = this.judge;
    if (judge === null) return;
    judge.probed(host, answered, this.time);
    const known = judge.find(host);
    if (known !== null && !answered) this.report(known, this.time);
  }

  private reportHeld(host: Judged): void {
    const number = this.config.numberOf(host.service);
    if (number < 0) return;
    this.metrics[number].countListed(Reason.Centre);
    if (!logs(LogLevel.Warn)) return;
    const where = `${text(host.address)} of ${text(this.config.services[number].name)}, lane ${text(host.lane)}`;
    logWarn(`causeway: outlier-blacklist: ${where}: out while the healing centre says so`);
  }

  private report(host: Judged, now: i64): void {
    const number = this.config.numberOf(host.service);
    if (number < 0) return;
    if (host.state !== HostState.Out) {
      this.metrics[number].returned.add();
      return;
    }
    this.metrics[number].countListed(host.reason);
    if (!logs(LogLevel.Warn)) return;
    const seconds = ((host.until - now) / SECOND).toString();
    const where = `${text(host.address)} of ${text(this.config.services[number].name)}, lane ${text(host.lane)}`;
    logWarn(`causeway: outlier-blacklist: ${where}: out for ${seconds} s (${reasonName(host.reason)})`);
  }

  private measure(judge: Judge): void {
    for (let i = 0; i < this.metrics.length; i++) {
      const id = this.config.services[i].id;
      let out = 0;
      for (let j = 0; j < judge.groups.length; j++) {
        if (judge.groups[j].service === id) out += judge.groups[j].out() + judge.groups[j].held;
      }
      this.metrics[i].out.set(out as u64);
    }
  }

  /** Takes over what the board says, when it says something new. */
  private obey(board: Slice): void {
    const version = stampOf(board);
    if (version === this.board) return;
    this.board = version;
    const lanes = this.hosts.lanes;
    for (let i = 0; i < lanes.length; i++) lanes[i].pool = null;
    const rows = rowsOf(board);
    for (let i = 0; i < rows; i++) {
      const row = rowOf(board, i);
      const service = load<u64>(row, SERVICE);
      if (this.config.numberOf(service) < 0) continue;
      this.hosts.add(service, laneOf(row), addressOf(row), false, this.time);
      const lane = this.hosts.lane(service, laneOf(row));
      if (lane === null) continue;
      let pool = lane.pool;
      if (pool === null) {
        pool = new Pool(rows);
        lane.pool = pool;
      }
      pool.add(row, shareOf(row));
    }
    this.settle();
  }

  /** All hosts of a hash-balanced service: its keys are spread by us, listed hosts or not, so that a listing moves few. */
  private spread(service: u64): void {
    for (let i = 0; i < this.hosts.count; i++) {
      const row = this.hosts.row(i);
      if (load<u64>(row, SERVICE) !== service) continue;
      const lane = this.hosts.lane(service, laneOf(row));
      if (lane === null) continue;
      let pool = lane.usual;
      if (pool === null) {
        pool = new Pool(lane.hosts);
        lane.usual = pool;
      }
      pool.add(row, 100);
    }
  }

  private settle(): void {
    this.choosing.fill(false);
    for (let i = 0; i < this.hosts.lanes.length; i++) {
      const lane = this.hosts.lanes[i];
      if (lane.pool === null) lane.pool = lane.usual;
      const number = this.config.numberOf(lane.service);
      if (lane.pool !== null && number >= 0) this.choosing[number] = true;
    }
  }
}
