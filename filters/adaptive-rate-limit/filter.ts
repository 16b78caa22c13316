/**
 * Limits requests per second, inbound: by interface, by instance, by value of a header, cookie or query parameter, and, when
 * the instance runs short of something, the interface that has risen. README.md has the law and what it costs.
 */
import {
  ascii,
  byteAt,
  Counter,
  FilterHeadersStatus,
  HttpStream,
  lenOf,
  NONE,
  now,
  present,
  Slice,
} from 'proxy-wasm-assemblyscript-sdk';
import { Json } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { cpuPressure, refreshAgent } from '../agent/blob';
import { answerHeader } from '../answer';
import { header, method, path } from '../exchange';
import { CLASS, SHED } from '../headers';
import { dropExpressions, StreamSource } from '../lane-tagging/matcher.host';
import { cookieValue, MAX_DECODED, OVERLONG, queryValue } from '../lane-tagging/request-values';
import { howItEnded } from '../overload-shedding/inbound';
import { parseNumber } from '../overload-shedding/number';
import { End } from '../overload-shedding/policy';
import { Reports } from '../overload-shedding/report';
import { FilterPlugin } from '../plugin';
import { sipHash128, sipLow } from '../trace-propagation/siphash';
import { compileConfig, Hotspot, LimitConfig, ValueKind } from './config';
import { INSTANCE_BUCKET, Limiter, limiterOf, milliseconds, prepareSalt, saltHigh, saltLow } from './limiter';
import { LimitMetrics } from './metrics';
import { ADAPTIVE, HOTSPOT, INSTANCE, INTERFACE, LimitRefusal, STRESS } from './refusal';
import { Count, Whole } from './window';
import { LIMIT_TICK_MS } from './workers';

const CLASS_NAME = ascii(CLASS);
const SHED_NAME = ascii(SHED);
const COOKIE = ascii('cookie');
/** Classes of health checks and control, which nothing limits, and of stress tests. */
const CONTROL: u8 = 0x30;
const STRESS_TEST: u8 = 0x39;
const MOST_SIGNAL: f64 = 1e12;
const PER_MILLE: f64 = 1000;

const SOURCE = new StreamSource();
const decoded: usize = heap.alloc(MAX_DECODED);

@final
export class AdaptiveRateLimitPlugin extends FilterPlugin {
  config: LimitConfig | null = null;
  limiter: Limiter | null = null;
  reports: Reports | null = null;
  metrics: LimitMetrics | null = null;
  refusal: LimitRefusal | null = null;

  filterName(): string {
    return 'adaptive-rate-limit';
  }

  configure(section: Json): bool {
    const config = compileConfig(section);
    if (config === null) return false;
    if (config.hotspots.length > 0) prepareSalt();
    this.config = config;
    this.limiter = limiterOf(config);
    this.reports = new Reports(config.source, config.sourceName);
    this.metrics = new LimitMetrics(config);
    this.refusal = new LimitRefusal(config.status, config.retryAfter);
    return true;
  }

  tickMs(): u32 {
    return LIMIT_TICK_MS;
  }

  createStream(): HttpStream {
    return new LimitStream(this);
  }

  onFastTick(): void {
    this.limiter!.tick(this.cpu(), this.metrics!);
  }

  onSecond(): void {
    const config = this.config;
    if (config !== null && config.adaptive) refreshAgent(now());
  }

  /** CPU use as the application reports it, else that of the machine as the agent has it; `NaN` = unknown. */
  private cpu(): f64 {
    const reported = this.reports!.cpuAt(milliseconds());
    if (!isNaN(reported)) return reported;
    const pressure = cpuPressure();
    return pressure < 0 ? NaN : (pressure as f64) / PER_MILLE;
  }

  onDelete(): void {
    const config = this.config;
    if (config !== null) dropExpressions(config.plan!);
  }
}

@final
class LimitStream extends HttpStream {
  /** Interface of an admitted request that is not over; -1 = none. */
  private open: i32 = -1;
  private begun: f64 = 0;
  private readonly config: LimitConfig;
  private readonly limiter: Limiter;
  private readonly metrics: LimitMetrics;
  /** Of the limit that `over` has found last. */
  private counter: Counter;

  constructor(private readonly plugin: AdaptiveRateLimitPlugin) {
    super();
    this.config = plugin.config!;
    this.limiter = plugin.limiter!;
    this.metrics = plugin.metrics!;
    this.counter = plugin.metrics!.instance;
  }

  onRequestHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    const config = this.config;
    const limiter = this.limiter;
    const time = milliseconds();
    limiter.begin();
    config.plan!.begin();
    const i = config.asksInterface ? config.interfaces.find(method(), path()) : 0;
    const sums = limiter.sums;
    sums.add(i, Count.Offered, 1);
    const stress = config.adaptive && limiter.policy.watchesStress && this.isStress();
    if (stress && !limiter.admitsStress()) {
      this.metrics.stress.add();
      return this.plugin.refusal!.send(STRESS);
    }
    const refused = this.judge(i, time);
    if (present(refused)) return this.plugin.refusal!.send(refused);
    sums.add(i, Count.Admitted, 1);
    if (!config.adaptive) return FilterHeadersStatus.Continue;
    if (stress) sums.addWhole(Whole.Stress, 1);
    sums.addWhole(Whole.Open, 1);
    this.open = i;
    this.begun = time;
    return FilterHeadersStatus.Continue;
  }

  /** The reason why the request is refused, or `NONE`, having taken what it costs. */
  private judge(i: i32, time: f64): Slice {
    const reason = this.over(i, time);
    if (!present(reason)) {
      this.take(i);
      return NONE;
    }
    // Health checks and control pass, and owe nothing for it.
    if (classDigit() === CONTROL) return NONE;
    this.counter.add();
    return reason;
  }

  /** The first limit that the request is over, `NONE` without one. */
  private over(i: i32, time: f64): Slice {
    const buckets = this.limiter.buckets;
    const metrics = this.metrics;
    if (!buckets.has(this.limiter.adaptiveBucket(i), time)) {
      this.counter = unchecked(metrics.adaptive[i]);
      return ADAPTIVE;
    }
    if (!buckets.has(1 + i, time)) {
      this.counter = unchecked(metrics.interface[i]);
      return INTERFACE;
    }
    if (!buckets.has(INSTANCE_BUCKET, time)) {
      this.counter = metrics.instance;
      return INSTANCE;
    }
    const hot = this.limiter.hot;
    for (let h = 0; h < hot.length; h++) {
      const key = this.keyOf(unchecked(this.config.hotspots[h]));
      const place = key === 0 ? -1 : unchecked(hot[h]).meet(key, time);
      unchecked((this.limiter.places[h] = place));
      if (place < 0 || unchecked(hot[h]).has(place, time)) continue;
      this.counter = unchecked(metrics.hotspot[h]);
      return HOTSPOT;
    }
    return NONE;
  }

  private take(i: i32): void {
    const buckets = this.limiter.buckets;
    const hot = this.limiter.hot;
    let tell = buckets.take(INSTANCE_BUCKET);
    tell = buckets.take(1 + i) || tell;
    tell = buckets.take(this.limiter.adaptiveBucket(i)) || tell;
    for (let h = 0; h < hot.length; h++) {
      const place = unchecked(this.limiter.places[h]);
      if (place >= 0) tell = unchecked(hot[h]).take(place) || tell;
    }
    if (tell) this.limiter.exchange();
  }

  /** Keyed hash of the value that the rule looks at; 0 when it is not there, or not asked for. */
  private keyOf(rule: Hotspot): u64 {
    if (rule.rule >= 0 && !this.config.plan!.matches(rule.rule, SOURCE)) return 0;
    let value = NONE;
    if (rule.kind === ValueKind.Header) value = header(rule.key);
    else if (rule.kind === ValueKind.Cookie) value = cookieValue(header(COOKIE), rule.key);
    else value = queryValue(path(), rule.key, decoded);
    if (value === NONE) return 0;
    // Values that are too long to be decoded are one value.
    if (value === OVERLONG) return 1;
    sipHash128(value, saltLow(), saltHigh());
    return max<u64>(sipLow(), 2);
  }

  private isStress(): bool {
    const config = this.config;
    if (config.stressClass && classDigit() === STRESS_TEST) return true;
    return config.stressRule >= 0 && config.plan!.matches(config.stressRule, SOURCE);
  }

  onLog(): void {
    const i = this.open;
    if (i < 0) return;
    this.open = -1;
    const sums = this.limiter.sums;
    const time = milliseconds();
    const reports = this.plugin.reports!;
    sums.addWhole(Whole.Open, -1);
    const t2 = reports.read(time);
    if (reports.invalid) this.metrics.badReport.add();
    if (isNaN(t2)) {
      const end = howItEnded();
      if (end === End.Unsent && present(answerHeader(SHED_NAME))) sums.addWhole(Whole.Shed, 1);
      if (end !== End.Completed) return;
    }
    sums.add(i, Count.Done, 1);
    sums.add(i, Count.Time, max(time - this.begun, 0));
    if (!isNaN(t2)) {
      sums.add(i, Count.Queue, t2);
      sums.add(i, Count.Queued, 1);
    }
    if (present(this.config.signalHeader)) this.readSignal();
  }

  private readSignal(): void {
    const value = answerHeader(this.config.signalHeader);
    if (!present(value)) return;
    const said = parseNumber(value, MOST_SIGNAL);
    if (isNaN(said)) {
      this.metrics.badReport.add();
      return;
    }
    this.limiter.sums.addWhole(Whole.Signal, said);
    this.limiter.sums.addWhole(Whole.Signals, 1);
  }

  /** Without a log, nothing is known but that the request is over. */
  onReset(): void {
    if (this.open < 0) return;
    this.open = -1;
    this.limiter.sums.addWhole(Whole.Open, -1);
  }
}

/** The priority class, one digit that only the mesh may set; 0xff without one. */
function classDigit(): u8 {
  const value = header(CLASS_NAME);
  return lenOf(value) === 1 ? byteAt(value, 0) : 0xff;
}
