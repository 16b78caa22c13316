/**
 * The singleton: asks this Envoy's own admin for CPU pressure and for the hosts of the clusters that filters want, and
 * publishes both in shared data; where there is a healing centre, it speaks to it. Nothing restarts a singleton that has trapped, so whatever comes in is a value to it.
 * See README.md for what it costs.
 */
import {
  ascii,
  BufferType,
  getBuffer,
  getShared,
  HttpCallHandler,
  lenOf,
  now,
  OVERWRITE,
  persist,
  ptrOf,
  RootContext,
  randomBytes,
  Slice,
  setShared,
  setTickPeriod,
  slice,
  timeNow,
} from 'proxy-wasm-assemblyscript-sdk';
import { Json } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { readConfiguration } from '../plugin';
import { Admin } from './admin';
import { CentreClient } from './centre';
import { HostRounds, RoundEnd } from './host-rounds';
import { LAYOUT, STATE_KEY, STATE_SIZE, UNKNOWN_PRESSURE } from './layout';
import { AgentMetrics } from './metrics';
import { Jitter } from './outcome';
import { Pace, pressureOf } from './policy';
import { OrderWatch } from './watch';

/** Far more than the one line that is asked for. */
const LONGEST_PRESSURE: u32 = 1024;
const PRESSURE_PATH = ascii(
  '/stats?type=Gauges&filter=%5Eoverload%5C.envoy%5C.resource_monitors%5C.cpu_utilization%5C.pressure%24',
);
const STATE = ascii(STATE_KEY);
/** Longest tick of an agent that has a centre. */
const CENTRE_TICK_MS: u32 = 1000;

@final
export class AgentPlugin extends RootContext {
  private agent: Agent | null = null;
  private centre: CentreClient | null = null;
  private watch: OrderWatch | null = null;

  onConfigure(configuration: Slice): bool {
    const section = readConfiguration(configuration, 'agent');
    if (section === null) return false;
    const interval = section.numberOf('intervalMs', 1000) as u32;
    // Half of the share each, in units of 0.01 %.
    const share = max<u64>((section.numberOf('mainThreadPercent', 1) * 50) as u64, 1);
    const admin = new Admin(this.id, persist(section.textOf('admin')));
    const metrics = new AgentMetrics();
    const hostsPace = new Pace(interval, share);
    // An agent that starts anew goes on where the one before was, so that its first lists count as new ones.
    const before = getShared(STATE);
    const version = lenOf(before) === STATE_SIZE ? load<u32>(ptrOf(before), 4) : 0;
    const rounds = new HostRounds(admin, hostsPace, metrics, version);
    this.agent = new Agent(admin, metrics, rounds, new Pace(interval, share), hostsPace, interval);
    const centre = section.get('centre');
    if (centre !== null) this.meet(centre);
    setTickPeriod(centre === null ? interval : min(interval, CENTRE_TICK_MS));
    return true;
  }

  private meet(section: Json): void {
    const seed = heap.alloc(8);
    // Without randomness proxies ask at the same time, no more.
    if (!randomBytes(seed, 8)) store<u64>(seed, timeNow());
    const jitter = new Jitter(load<u64>(seed));
    heap.free(seed);
    const cluster = persist(section.textOf('cluster'));
    const authority = persist(section.textOf('authority'));
    this.centre = new CentreClient(this.id, cluster, authority, jitter);
    if (section.get('instance') === null) return;
    this.watch = new OrderWatch(this.id, cluster, authority, section.textOf('instance'), jitter);
  }

  onTick(): void {
    const agent = this.agent;
    if (agent !== null) agent.tick();
    const centre = this.centre;
    if (centre !== null) centre.tick(now());
    const watch = this.watch;
    if (watch !== null) watch.tick(now());
  }
}

@final
class Agent extends RoundEnd {
  private readonly answers: PressureAnswers = new PressureAnswers();
  private readonly state: usize = heap.alloc(STATE_SIZE);
  private pressure: i32 = UNKNOWN_PRESSURE;
  private answeredAt: u64 = 0;
  private listed: i32 = 0;
  private open: bool = false;
  private askedAt: u64 = 0;

  constructor(
    private readonly admin: Admin,
    private readonly metrics: AgentMetrics,
    private readonly rounds: HostRounds,
    private readonly pressurePace: Pace,
    private readonly hostsPace: Pace,
    private readonly interval: u32,
  ) {
    super();
    rounds.end = this;
    this.answers.agent = this;
  }

  tick(): void {
    this.rounds.tick(this.due(this.rounds.lastAt, this.hostsPace));
    if (this.open || !this.due(this.askedAt, this.pressurePace)) return;
    this.askedAt = now();
    this.open = this.admin.get(PRESSURE_PATH, this.answers);
    if (!this.open) this.metrics.pressureFailed.add();
  }

  /** Half a tick early is due: ticks are not exact. So is a clock that has gone back. */
  private due(last: u64, pace: Pace): bool {
    const slack = ((this.interval / 2) as u64) * 1_000_000;
    return now() < last || now() - last + slack >= pace.period() * 1_000_000;
  }

  /** An answer about pressure has come. Without one nothing is published, and what was grows old. */
  takePressure(status: u32, bodySize: u32): void {
    this.open = false;
    if (status !== 200) {
      this.metrics.pressureFailed.add();
      return;
    }
    this.metrics.pressureOk.add();
    this.pressure =
      bodySize === 0 || bodySize > LONGEST_PRESSURE
        ? UNKNOWN_PRESSURE
        : pressureOf(getBuffer(BufferType.HttpCallResponseBody, 0, bodySize));
    this.answeredAt = now();
    this.publish();
    const ended = timeNow();
    this.pressurePace.spent(ended > this.askedAt ? ended - this.askedAt : 0);
    this.metrics.pressurePeriod.set(this.pressurePace.period());
    this.metrics.pressureCost.set(this.pressurePace.cost() / 1000);
  }

  roundEnded(hosts: i32): void {
    this.listed = hosts;
    if (this.answeredAt > 0) this.publish();
  }

  private publish(): void {
    const at = this.state;
    store<u32>(at, LAYOUT);
    store<u32>(at, this.rounds.version, 4);
    store<u64>(at, this.answeredAt, 8);
    store<u32>(at, this.pressurePace.period() as u32, 16);
    store<i32>(at, this.pressure, 20);
    store<u32>(at, this.hostsPace.period() as u32, 24);
    store<u32>(at, this.listed, 28);
    setShared(STATE, slice(at, STATE_SIZE), OVERWRITE);
  }
}

@final
class PressureAnswers extends HttpCallHandler {
  agent: Agent | null = null;

  onAnswer(status: u32, bodySize: u32): void {
    const agent = this.agent;
    if (agent !== null) agent.takePressure(status, bodySize);
  }
}
