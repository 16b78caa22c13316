/**
 * Keeps requests out of one instance, all or chosen ones, while it goes on running: by configuration, by order of the
 * healing centre, because it was told to go offline, or because it has just started. README.md says what callers make of the answer.
 */
import { equal, FilterHeadersStatus, HttpStream, now, StreamType } from 'proxy-wasm-assemblyscript-sdk';
import { Json } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { path } from '../exchange';
import { callerIdentity, dropExpressions, StreamSource } from '../lane-tagging/matcher.host';
import { MatchPlan } from '../lane-tagging/matcher.policy';
import { pathOnly } from '../lane-tagging/request-values';
import { FilterPlugin, TICK_MS } from '../plugin';
import { compileConfig, IsolationConfig } from './config';
import { ControlStream } from './control';
import { IsolationMetrics } from './metrics';
import { OpenStreams, Place } from './open-streams';
import { Closed, Gate } from './policy';
import { keepOut } from './refusal';
import { isOffline, orderedUntil, startedAt } from './shared';

/** How soon the workers that were not told hear of it. */
const FAST_TICK_MS: u32 = 100;
const MILLISECOND: u64 = 1_000_000;

const SOURCE = new StreamSource();

/** The requests that were let in and go on. */
const flowing = new OpenStreams(StreamType.HttpRequest);
/** That of the configuration in force; one before it, which still has requests, decides nothing any more. */
let inForce: Gate | null = null;

@final
export class IsolationPlugin extends FilterPlugin {
  config: IsolationConfig | null = null;
  metrics: IsolationMetrics | null = null;
  gate: Gate | null = null;
  private begun: bool = false;

  filterName(): string {
    return 'isolation';
  }

  configure(section: Json): bool {
    const config = compileConfig(section);
    if (config === null) return false;
    this.config = config;
    if (config.control) return true;
    const start = startedAt();
    const opensAt = config.delayMs > 0 ? start + config.delayMs : 0;
    this.gate = new Gate(config.isolated, config.drainMs, opensAt, config.centre ? start : -1);
    this.metrics = new IsolationMetrics();
    return true;
  }

  tickMs(): u32 {
    return this.gate === null ? TICK_MS : FAST_TICK_MS;
  }

  createStream(): HttpStream {
    const gate = this.gate;
    if (gate === null) return new ControlStream(this.config!.edas);
    this.begin(gate);
    return new GuardedStream(this.config!, gate, this.metrics!);
  }

  onFastTick(): void {
    const gate = this.gate;
    if (gate === null) return;
    this.begin(gate);
    if (inForce !== gate) return;
    const time = milliseconds();
    this.see(gate, time);
    if (gate.drained(time)) this.metrics!.reset.add(flowing.close(this.id));
  }

  onSecond(): void {
    const gate = this.gate;
    if (gate !== null && inForce === gate) this.metrics!.state.set(gate.state);
  }

  /** Not before it is used: a configuration that another filter refuses never is. */
  private begin(gate: Gate): void {
    if (this.begun) return;
    this.begun = true;
    const before = inForce;
    if (before !== null) gate.follow(before);
    inForce = gate;
    this.see(gate, milliseconds());
  }

  private see(gate: Gate, time: f64): void {
    gate.see(isOffline(), time, this.config!.centre ? orderedUntil() : -1);
  }

  onDelete(): void {
    const config = this.config;
    if (config === null) return;
    const plan = config.plan;
    if (plan !== null) dropExpressions(plan);
  }
}

function milliseconds(): f64 {
  return (now() / MILLISECOND) as f64;
}

@final
class GuardedStream extends HttpStream {
  private readonly place: Place = new Place();

  constructor(
    private readonly config: IsolationConfig,
    private readonly gate: Gate,
    private readonly metrics: IsolationMetrics,
  ) {
    super();
  }

  onRequestHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    const state = this.gate.state;
    const plan = this.config.plan;
    const closed = state !== Closed.Open;
    if (closed || plan !== null) {
      const check = equal(pathOnly(path()), this.config.healthPath);
      if (closed || (!check && this.matches(plan!))) return this.judge(state, check);
    }
    flowing.enter(this.place, this);
    return FilterHeadersStatus.Continue;
  }

  private matches(plan: MatchPlan): bool {
    plan.begin();
    return plan.first(SOURCE) >= 0;
  }

  private judge(state: Closed, check: bool): FilterHeadersStatus {
    const config = this.config;
    const metrics = this.metrics;
    if (config.asksIdentity && config.allows(callerIdentity())) {
      // Not among those that end with the drain: it is let in because the instance is closed.
      metrics.diagnosis.add();
      return FilterHeadersStatus.Continue;
    }
    if (check) metrics.checks.add();
    else unchecked(metrics.refused[state]).add();
    return keepOut(state);
  }

  onLog(): void {
    flowing.leave(this.place);
  }

  onReset(): void {
    flowing.leave(this.place);
  }
}
