/**
 * The client of the healing centre: reports what outlier-blacklist has counted and listed, and hands the verdicts that come
 * back to it. Every failure has the same end: verdicts expire, and this proxy goes on by its own judgement.
 */
import {
  ascii,
  Counter,
  callBody,
  counter,
  EMPTY,
  Gauge,
  gauge,
  getShared,
  HttpCallHandler,
  hash64,
  httpCall,
  mix64,
  OVERWRITE,
  PairWriter,
  Slice,
  Status,
  setShared,
  slice,
} from 'proxy-wasm-assemblyscript-sdk';
import { Answer, MAX_ANSWER } from './answer';
import { REPORT_KEY, ReportReader, VERDICTS_KEY } from './centre-records';
import { Jitter, Outcome, Outcomes, refusal } from './outcome';
import { Reports } from './report';
import { DOUBTS, Doubt, Verdicts } from './verdicts';

const TIMEOUT_MS: u32 = 2_000;
const SOONEST_MS: i64 = 500;
const LATEST_MS: i64 = 60_000;
/** While something is listed, whatever the centre asks for. */
const BUSY_MS: i64 = 2_000;
const LONGEST_RETRY_MS: i64 = 15_000;

const PREFIX = 'causeway_agent_';
const REPORT = ascii(REPORT_KEY);
const VERDICTS = ascii(VERDICTS_KEY);
const METHOD = ascii(':method');
const POST = ascii('POST');
const PATH = ascii(':path');
const SYNC = ascii('/v1/sync');
const AUTHORITY = ascii(':authority');
const TYPE = ascii('content-type');
const JSON_TYPE = ascii('application/json');

@final
export class CentreClient extends HttpCallHandler {
  private readonly reports: Reports = new Reports();
  private readonly report: ReportReader = new ReportReader();
  private readonly verdicts: Verdicts = new Verdicts();
  private readonly answer: Answer = new Answer();
  private readonly headers: PairWriter = new PairWriter(4);
  private readonly metrics: CentreMetrics = new CentreMetrics();

  private time: i64 = 0;
  private nextAt: i64 = 0;
  private open: bool = false;
  private sequence: i64 = 0;
  private since: i64 = 0;
  private failures: i32 = 0;
  /** Of the services that were named to the centre. */
  private services: u64 = 0;
  private asked: u64 = 0;

  constructor(
    private readonly contextId: u32,
    private readonly cluster: Slice,
    private readonly authority: Slice,
    private readonly jitter: Jitter,
  ) {
    super();
  }

  tick(nanoseconds: u64): void {
    const now = (nanoseconds / 1_000_000) as i64;
    this.time = now;
    this.verdicts.settle(now);
    this.publish();
    if (this.open || !this.report.open(getShared(REPORT), now) || this.report.services === 0) return;
    // A clock that was set back is no reason to wait for longer than ever.
    const due = now >= this.nextAt || this.nextAt - now > LATEST_MS;
    if (due || (this.failures === 0 && this.reports.hasNews(this.report))) this.ask(nanoseconds);
  }

  private ask(nanoseconds: u64): void {
    this.asked = this.fingerprint();
    this.since = this.asked === this.services ? this.verdicts.version : 0;
    this.sequence = max(this.sequence + 1, (nanoseconds / 1000) as i64);
    const headers = this.headers
      .clear()
      .add(METHOD, POST)
      .add(PATH, SYNC)
      .add(AUTHORITY, this.authority)
      .add(TYPE, JSON_TYPE);
    const body = this.reports.build(this.report, this.sequence, this.since);
    this.open = httpCall(this.contextId, this.cluster, headers, body, TIMEOUT_MS, this) === Status.Ok;
    if (!this.open) this.failed(Outcome.Failed);
  }

  /** Another number when a configuration has brought other services: then everything that holds is asked for. */
  private fingerprint(): u64 {
    let hash: u64 = 0;
    for (let i = 0; i < this.report.services; i++) hash = mix64(hash ^ hash64(this.report.service(i)));
    return hash;
  }

  onAnswer(status: u32, bodySize: u32): void {
    this.open = false;
    if (status !== 200) {
      this.failed(refusal(status));
      return;
    }
    if (bodySize > (MAX_ANSWER as u32) || !this.answer.read(bodySize === 0 ? EMPTY : callBody(0, bodySize))) {
      this.failed(Outcome.Malformed);
      return;
    }
    // The services may have changed since: what this proxy calls now is what counts.
    this.report.open(getShared(REPORT), this.time);
    if (!this.verdicts.take(this.answer, this.report, this.since, this.time)) {
      this.failed(Outcome.Stale);
      return;
    }
    this.services = this.asked;
    this.failures = 0;
    this.reports.taken();
    this.metrics.syncs.count(Outcome.Ok);
    for (let i = 1; i < DOUBTS; i++) this.metrics.countDoubt(i, this.verdicts.doubts[i]);
    const wish = min(max(this.answer.nextMs, SOONEST_MS), LATEST_MS);
    this.nextAt = this.time + this.jitter.of(this.reports.listed ? min(wish, BUSY_MS) : wish, 10);
    this.publish();
  }

  private failed(outcome: Outcome): void {
    this.metrics.syncs.count(outcome);
    const wait = min((1000 as i64) << min(this.failures, 10), LONGEST_RETRY_MS);
    this.failures = min(this.failures + 1, 10);
    this.nextAt = this.time + this.jitter.of(wait, 50);
  }

  private publish(): void {
    setShared(VERDICTS, this.verdicts.record(this.time), OVERWRITE);
    this.metrics.verdicts.set(this.verdicts.count as u64);
  }
}

/** From `Doubt.Service` on. */
const REASONS: string[] = ['service', 'stale', 'expiry', 'host', 'full'];

@final
class CentreMetrics {
  readonly syncs: Outcomes = new Outcomes('centre_syncs');
  readonly verdicts: Gauge = gauge(PREFIX + 'centre_verdicts');
  private readonly refused: Counter[] = [];

  constructor() {
    for (let i = 0; i < REASONS.length; i++)
      this.refused.push(counter(PREFIX + 'centre_refused_total.reason.' + REASONS[i]));
  }

  countDoubt(doubt: Doubt, times: i32): void {
    if (times > 0) this.refused[doubt - 1].add(times);
  }
}
