/** The side that protects: one application instance behind this Envoy. */
import {
  ascii,
  byteAt,
  endsWith,
  equal,
  FilterHeadersStatus,
  getProperty,
  HttpStream,
  lenOf,
  now,
  present,
  propertyPath,
} from 'proxy-wasm-assemblyscript-sdk';
import { cpuPressure, refreshAgent } from '../agent/blob';
import { answerStatus } from '../answer';
import { header } from '../exchange';
import { CLASS, DROPPED } from '../headers';
import { cohort } from './cohort';
import { SheddingConfig } from './config';
import { InboundMetrics } from './metrics';
import { parseNumber } from './number';
import { End, Shedder } from './policy';
import { ALL, classOf, DEFAULT } from './priority';
import { Refusal } from './refusal';
import { Reports } from './report';
import { SharedPeers } from './workers';

/** Period of the ticks that move thresholds. */
export const FAST_TICK_MS: u32 = 100;
const LEAST_TICK_MS: f64 = 50;

const CLASS_NAME = ascii(CLASS);
const DROPPED_NAME = ascii(DROPPED);
const UPGRADE = ascii('upgrade');
const CODE_DETAILS = propertyPath('response.code_details');
const VIA_UPSTREAM = ascii('via_upstream');
const TIMEOUT = ascii('timeout');
const CLIENT_ERRORS: u8 = 0x34;
/** What one caller may say that it has held back since its last sample. */
const MOST_DROPPED: f64 = 100_000;

const MICROSECONDS: f64 = 1000;

/** Unix time of this callback in milliseconds. */
export function milliseconds(): f64 {
  return (now() as f64) / 1_000_000;
}

/**
 * The state of one application in one worker. It outlives configurations: a change in mid-overload starts nothing anew, and
 * requests in flight are counted where they were admitted.
 */
@final
export class Guard {
  readonly peers: SharedPeers;
  readonly shedder: Shedder;
  private ticked: f64 = 0;

  constructor(
    readonly app: string,
    target: f64,
  ) {
    const peers = new SharedPeers(app, FAST_TICK_MS);
    peers.prepare();
    this.peers = peers;
    this.shedder = new Shedder(target, peers);
  }

  /** During a change of configuration two root contexts tick: the second within a period does nothing. */
  tick(cpu: f64): void {
    const time = milliseconds();
    const elapsed = time - this.ticked;
    if (elapsed >= 0 && elapsed < LEAST_TICK_MS) return;
    this.ticked = time;
    this.peers.tick(this.shedder, cpu, now());
  }
}

const guards: Array<Guard> = [];

/** The guard of `app`, made at its first use. At configure time. */
export function guardOf(app: string, target: f64): Guard {
  for (let i = 0; i < guards.length; i++) {
    const guard = guards[i];
    if (guard.app !== app) continue;
    guard.shedder.target = target;
    return guard;
  }
  const made = new Guard(app, target);
  guards.push(made);
  return made;
}

/** One configuration of the inbound side. */
@final
export class Inbound {
  readonly guard: Guard;
  readonly metrics: InboundMetrics = new InboundMetrics();
  readonly refusal: Refusal;
  readonly reports: Reports;
  private wasHot: bool = false;

  constructor(readonly config: SheddingConfig) {
    this.guard = guardOf(config.app, config.targetMs);
    this.refusal = new Refusal(config.status, config.retryAfter);
    this.reports = new Reports(config.source, config.sourceName);
  }

  tick(): void {
    const reported = this.reports.cpuAt(milliseconds());
    const pressure = cpuPressure();
    // The proxy's machine or cgroup; the application says it of itself, where it does.
    const known = pressure < 0 ? NaN : (pressure as f64) / 1000;
    this.guard.tick(isNaN(reported) ? known : reported);
    const hot = this.guard.shedder.hot;
    if (hot && !this.wasHot) this.metrics.hot.add();
    this.wasHot = hot;
  }

  /** Once a second. Every worker sets the same merged figures. */
  show(): void {
    refreshAgent(now());
    const shedder = this.guard.shedder;
    const metrics = this.metrics;
    metrics.level.set((((ALL - shedder.threshold) * 100 + ALL - 1) / ALL) as u64);
    metrics.queue.set((min<f64>(shedder.queueing(), 1e9) * MICROSECONDS) as u64);
    metrics.capacity.set(min<f64>(shedder.capacityPerSecond(), 1e9) as u64);
    metrics.inFlight.set(min<f64>(shedder.inFlightNow(), 1e9) as u64);
  }
}

/** One request that arrives. */
@final
export class InboundStream extends HttpStream {
  /** Number of the admitted request; 0 = not admitted, or over. */
  private number: u32 = 0;
  private begun: f64 = 0;
  private shedder: Shedder;

  constructor(private readonly inbound: Inbound) {
    super();
    this.shedder = inbound.guard.shedder;
  }

  onRequestHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    const time = milliseconds();
    const shedder = this.shedder;
    this.begun = time;
    const first = !shedder.hot;
    if (first && shedder.admitCalm(time)) return this.admitted(endOfStream);
    return this.judge(first, time, endOfStream);
  }

  /** `first`: this very request has made the state hot. */
  private judge(first: bool, time: f64, whole: bool): FilterHeadersStatus {
    const inbound = this.inbound;
    const shedder = this.shedder;
    const class_ = this.classOfRequest();
    const drawn = shedder.needsCohort(class_) ? cohort(inbound.config.userHeader, time) : 0;
    const dropped = shedder.isOver(class_, drawn) ? this.heldBack() : 0;
    if (first) shedder.count(class_, dropped);
    else shedder.offer(class_, dropped);
    if (shedder.judge(class_, drawn, time)) return this.admitted(whole);
    unchecked(inbound.metrics.refused[class_]).add();
    return inbound.refusal.refuse(shedder.told);
  }

  /** A tunnel, such as a WebSocket, is judged like any request and then held by nobody: it says nothing of work. */
  private admitted(whole: bool): FilterHeadersStatus {
    const number = this.shedder.lastNumber;
    this.inbound.metrics.admitted.add();
    if (!whole && present(header(UPGRADE))) this.shedder.end(number, End.Unsent, 0, NaN, 0);
    else this.number = number;
    return FilterHeadersStatus.Continue;
  }

  private classOfRequest(): i32 {
    const value = header(CLASS_NAME);
    if (!present(value)) return DEFAULT;
    const found = classOf(value);
    if (found >= 0) return found;
    this.inbound.metrics.badClass.add();
    return DEFAULT;
  }

  /** How many like this one its caller has dropped; said on samples of what is over the threshold. */
  private heldBack(): f64 {
    const value = header(DROPPED_NAME);
    if (!present(value)) return 0;
    const said = parseNumber(value, MOST_DROPPED);
    if (isNaN(said)) {
      this.inbound.metrics.badDropped.add();
      return 0;
    }
    this.inbound.metrics.heldBack.add(said as i64);
    return said;
  }

  onLog(): void {
    const number = this.number;
    if (number === 0) return;
    this.number = 0;
    const time = milliseconds();
    const reports = this.inbound.reports;
    const t2 = reports.read(time);
    if (reports.invalid) this.inbound.metrics.badReport.add();
    this.shedder.end(number, isNaN(t2) ? howItEnded() : End.Completed, time - this.begun, t2, time);
  }

  /** Without a log, nothing is known but that the request is over. */
  onReset(): void {
    const number = this.number;
    if (number === 0) return;
    this.number = 0;
    this.shedder.end(number, End.Unsent, 0, NaN, 0);
  }
}

/**
 * An answer below 400 counts as the application's. Of the others Envoy says who gave them: a timeout leaves the
 * application with the work, a refusal by another filter or a failed connection has never given it any.
 */
export function howItEnded(): End {
  const status = answerStatus();
  if (lenOf(status) === 0) return End.Cancelled;
  if (byteAt(status, 0) < CLIENT_ERRORS) return End.Completed;
  const details = getProperty(CODE_DETAILS);
  if (equal(details, VIA_UPSTREAM)) return End.Completed;
  return endsWith(details, TIMEOUT) ? End.Cancelled : End.Unsent;
}
