/**
 * Which hosts are out, and for how long. One worker of a proxy judges for all of them: it sums what they published,
 * compares each host with the others of its lane, and leaves states that all workers then act upon.
 *
 *   good ── outlier ──▶ out ── cool-down ──▶ probe ── answered ──▶ ramp 5, 10, 25, 50 % ── clean ──▶ good
 *                        ▲ twice as long        └── failed ──┐        └── bad ──┐
 *                        └────────────────────────────────────┴─────────────────┘
 *
 * A host is only ever compared with others of its lane: when most are bad it is the service that is bad, not the host.
 * What the healing centre wants out beside is holding.ts' business.
 */
import { equal, mix64, Slice } from 'proxy-wasm-assemblyscript-sdk/slice';
import { Group, Holding } from './holding';
import { HostState, Judged, Reason, STEP_COUNT } from './judged';
import { HOST, laneOf, MAX_HOSTS, SERVICE } from './row';

/** Requests that make a window; half of them when all failed, since two windows in a row are asked for. */
const WINDOW: u32 = 20;
/** A window that does not fill in this time is dropped, ms. */
const WINDOW_MS: i64 = 10_000;
/** Times are judged over at least this long, so that one stall of the proxy is not taken for a slow host, ms. */
const SLOW_WINDOW_MS: i64 = 500;
const FAILURES_IN_A_ROW: u32 = 5;
/** The long window: how far from the others, in standard deviations, by how many errors, by which share. */
const FAR: f64 = 4.5;
const FAR_ERRORS: u32 = 10;
const FAR_SHARE: f64 = 0.05;
const FAR_LOOKS: i32 = 2;
const SLOW_FACTOR: f64 = 3;
const SLOW_BY_MS: f64 = 50;
/** Errors that make a step back bad, given their share. */
const STEP_ERRORS: u32 = 3;
/** A host that was good for so long begins with the shortest cool-down again, ms. */
const FORGIVEN_MS: i64 = 300_000;
/** A host that nobody has published for so long is forgotten, ms. */
const GONE_MS: i64 = 60_000;

/** The configurable part of the law. */
@final
export class Law {
  constructor(
    /** Share of errors above which a host can be an outlier, 0–1. */
    readonly errorShare: f64 = 0.2,
    readonly coolDownMs: i64 = 30_000,
    readonly maxCoolDownMs: i64 = 300_000,
    readonly stepMs: i64 = 10_000,
    /** Most of a lane's hosts that may be out at once, in percent. */
    readonly maxOutPercent: i32 = 50,
  ) {}
}

@final
export class Judge {
  readonly hosts: Judged[] = [];
  readonly groups: Group[] = [];
  private readonly byKey: Map<u64, Judged> = new Map<u64, Judged>();
  /** Rises with every change of a state. */
  changes: u32 = 0;
  /** Of the last tick. */
  listed: i32 = 0;
  returned: i32 = 0;
  /** Outliers that had to stay, since too many are out already. */
  spared: i32 = 0;
  /** What the centre's word does beside. */
  readonly holding: Holding = new Holding();

  private second: i64 = 0;
  private readonly scratch: StaticArray<f64> = new StaticArray<f64>(MAX_HOSTS);

  constructor(
    private readonly law: Law,
    private seed: u64,
  ) {}

  /** To be called before the rows of a tick. */
  begin(): void {
    for (let i = 0; i < this.hosts.length; i++) this.hosts[i].total.clear();
  }

  /** A worker's row. */
  add(row: usize, now: i64): void {
    const host = this.hostOf(row);
    if (host === null) return;
    host.seen = now;
    host.total.addRow(row);
  }

  find(key: u64): Judged | null {
    return this.byKey.has(key) ? this.byKey.get(key) : null;
  }

  /** The row's host, made known when it is new; null when there are too many. */
  hostOf(row: usize): Judged | null {
    const known = this.find(load<u64>(row, HOST));
    if (known !== null) return known;
    if (this.hosts.length >= MAX_HOSTS) return null;
    const host = new Judged(row, this.second !== 0);
    this.hosts.push(host);
    this.byKey.set(host.host, host);
    this.groupOf(load<u64>(row, SERVICE), laneOf(row), host).hosts.push(host);
    return host;
  }

  private groupOf(service: u64, lane: Slice, host: Judged): Group {
    for (let i = 0; i < this.groups.length; i++) {
      const group = this.groups[i];
      if (group.service === service && equal(group.lane, lane)) return group;
    }
    // The lane's bytes are the host's: a group ends with its last host, and another host's are the same (see `drop`).
    const group = new Group(service, host.lane);
    this.groups.push(group);
    return group;
  }

  /** After the rows of a tick: moves every state on. `now` in ms, rising. */
  judge(now: i64): void {
    this.listed = 0;
    this.returned = 0;
    this.spared = 0;
    const second = now / 1000;
    const turned = second !== this.second;
    // After a long pause nothing of the window is left; ten turns are as good as a thousand.
    let turn = max(this.second + 1, second - 10);
    for (; turn <= second; turn++) for (let i = 0; i < this.hosts.length; i++) this.hosts[i].turn(turn);
    this.second = second;
    for (let i = 0; i < this.hosts.length; i++) this.hosts[i].gather(now, second);
    for (let i = 0; i < this.groups.length; i++) this.judgeGroup(this.groups[i], now, turned);
    if (this.holding.hold(this.groups, now)) this.changes++;
    if (turned) this.dropGone(now);
  }

  /** The outcome of the probe that a host in state `Probe` had asked for. */
  probed(key: u64, answered: bool, now: i64): void {
    const host = this.find(key);
    if (host === null || host.state !== HostState.Probe) return;
    host.probing = false;
    if (answered) this.ramp(host, now);
    else this.putOut(host, Reason.Probe, now);
  }

  /** Takes over a state that another judge left. */
  restore(row: usize, state: HostState, times: i32, step: i32, until: i64, now: i64): void {
    const host = this.hostOf(row);
    if (host === null) return;
    host.state = state;
    host.times = times;
    host.step = min(max(step, 0), STEP_COUNT - 1);
    // A clock that jumped must not keep a host out for ever.
    host.until = min(until, now + this.law.maxCoolDownMs * 2);
    host.seen = now;
  }

  private judgeGroup(group: Group, now: i64, turned: bool): void {
    const hosts = group.hosts;
    for (let i = 0; i < hosts.length; i++) {
      const host = hosts[i];
      if (host.state === HostState.Good) this.look(group, host, now, turned);
      else this.moveOn(group, host, now);
    }
    while (true) {
      let worst: Judged | null = null;
      let count = 0;
      for (let i = 0; i < hosts.length; i++) {
        const host = hosts[i];
        if (host.state !== HostState.Good || reasonOf(host) === Reason.None) continue;
        count++;
        if (worst === null || host.recentRate() > worst.recentRate()) worst = host;
      }
      if (worst === null) return;
      if (!this.mayList(group)) {
        this.spared += count;
        return;
      }
      const reason = reasonOf(worst);
      this.putOut(worst, reason, now);
    }
  }

  private mayList(group: Group): bool {
    const all = group.hosts.length;
    const out = group.out() + 1;
    return out < all && out * 100 <= all * this.law.maxOutPercent;
  }

  /** Judges a good host's windows. */
  private look(group: Group, host: Judged, now: i64, turned: bool): void {
    const open = host.open;
    const failed = open.errors === open.requests && open.requests >= WINDOW / 2;
    if (failed || (open.requests >= WINDOW && (open.errors > 0 || now - host.opened >= SLOW_WINDOW_MS))) {
      const limit = max(this.law.errorShare, 2 * this.othersRate(group, host));
      host.badWindows = open.rate() > limit ? host.badWindows + 1 : 0;
      const slow = now - host.opened >= SLOW_WINDOW_MS && this.isSlow(group, host, open.median(WINDOW));
      host.slowWindows = slow ? host.slowWindows + 1 : 0;
      host.closed.copy(open);
      host.closedAt = now;
      open.clear();
    } else if (now - host.opened > WINDOW_MS) {
      host.badWindows = 0;
      host.slowWindows = 0;
      host.closed.copy(open);
      host.closedAt = now;
      open.clear();
    }
    if (turned) host.farLooks = this.isFar(group, host) ? host.farLooks + 1 : 0;
    if (host.times > 0 && now - host.listedAt > FORGIVEN_MS + this.law.maxCoolDownMs) host.times = 0;
  }

  /** A host on its way back. */
  private moveOn(group: Group, host: Judged, now: i64): void {
    if (host.state === HostState.Out) {
      if (now < host.until) return;
      host.state = HostState.Probe;
      host.probing = false;
      this.changes++;
      return;
    }
    if (host.state !== HostState.Ramp) return;
    if (host.held) {
      // No request shows that it is well.
      host.until = max(host.until, now + this.law.stepMs);
      return;
    }
    const open = host.open;
    const limit = max(this.law.errorShare, 2 * this.othersRate(group, host));
    if (host.failuresInARow >= FAILURES_IN_A_ROW || (open.errors >= STEP_ERRORS && open.rate() > limit)) {
      this.putOut(host, host.failuresInARow >= FAILURES_IN_A_ROW ? Reason.Connections : Reason.Errors, now);
      return;
    }
    if (now < host.until) return;
    if (this.isSlow(group, host, open.median(5))) {
      this.putOut(host, Reason.Slow, now);
      return;
    }
    host.step++;
    host.forget(now);
    this.changes++;
    if (host.step < STEP_COUNT) {
      host.until = now + this.law.stepMs;
      return;
    }
    host.state = HostState.Good;
    host.reason = Reason.None;
    host.listedAt = now;
    this.returned++;
  }

  private ramp(host: Judged, now: i64): void {
    host.state = HostState.Ramp;
    host.step = 0;
    host.until = now + this.law.stepMs;
    host.forget(now);
    this.changes++;
  }

  private putOut(host: Judged, reason: Reason, now: i64): void {
    const law = this.law;
    const doubled = law.coolDownMs << min(host.times, 10);
    const coolDown = min(doubled, law.maxCoolDownMs);
    // Up to a tenth more, so that proxies do not all come back to it at once.
    this.seed = mix64(this.seed + 1);
    host.until = now + coolDown + ((this.seed % ((coolDown / 10 + 1) as u64)) as i64);
    host.state = HostState.Out;
    host.reason = reason;
    host.times = min(host.times + 1, 10);
    host.listedAt = now;
    host.probing = false;
    host.forget(now);
    this.listed++;
    this.changes++;
  }

  /** Median share of errors of the others; 0 when nothing is known of any. */
  private othersRate(group: Group, host: Judged): f64 {
    const values = this.scratch;
    let count = 0;
    for (let i = 0; i < group.hosts.length; i++) {
      const other = group.hosts[i];
      if (other === host || other.state !== HostState.Good) continue;
      const rate = other.recentRate();
      if (rate >= 0) unchecked((values[count++] = rate));
    }
    return upperMedian(values, count, 0);
  }

  private isSlow(group: Group, host: Judged, own: f64): bool {
    if (own < 0) return false;
    const values = this.scratch;
    let count = 0;
    for (let i = 0; i < group.hosts.length; i++) {
      const other = group.hosts[i];
      if (other === host || other.state !== HostState.Good) continue;
      const open = other.open.median(WINDOW / 2);
      const median = open >= 0 ? open : other.closed.median(WINDOW / 2);
      if (median >= 0) unchecked((values[count++] = median));
    }
    const others = upperMedian(values, count, -1);
    return others >= 0 && own > SLOW_FACTOR * others && own > others + SLOW_BY_MS;
  }

  /** Far from the others over ten seconds: a host that fails a few percent of what it gets. */
  private isFar(group: Group, host: Judged): bool {
    if (host.longErrors < FAR_ERRORS || host.longRequests < WINDOW) return false;
    const values = this.scratch;
    let count = 0;
    for (let i = 0; i < group.hosts.length; i++) {
      const other = group.hosts[i];
      if (other !== host && other.longRequests >= WINDOW) unchecked((values[count++] = other.longRate()));
    }
    if (count === 0) return false;
    const others = upperMedian(values, count, 0);
    const far = host.longRate() - others;
    const expected = max(others, 0.01);
    const deviation = Math.sqrt((expected * (1 - min(expected, 0.99))) / (host.longRequests as f64));
    return far >= FAR_SHARE && far > FAR * deviation;
  }

  private dropGone(now: i64): void {
    for (let i = this.hosts.length - 1; i >= 0; i--) {
      const host = this.hosts[i];
      if (now - host.seen <= GONE_MS) continue;
      this.hosts.splice(i, 1);
      this.drop(host);
    }
  }

  private drop(host: Judged): void {
    if (host.state !== HostState.Good) this.changes++;
    this.byKey.delete(host.host);
    for (let i = 0; i < this.groups.length; i++) {
      const group = this.groups[i];
      const at = group.hosts.indexOf(host);
      if (at < 0) continue;
      group.hosts.splice(at, 1);
      if (group.hosts.length === 0) this.groups.splice(i, 1);
      else if (group.lane === host.lane) this.groups[i] = regrouped(group);
      break;
    }
    host.free();
  }

  free(): void {
    for (let i = 0; i < this.hosts.length; i++) this.hosts[i].free();
    this.hosts.length = 0;
    this.groups.length = 0;
    this.byKey.clear();
  }
}

/** The group with the lane's bytes of a host that is still there. */
function regrouped(group: Group): Group {
  const result = new Group(group.service, group.hosts[0].lane);
  for (let i = 0; i < group.hosts.length; i++) result.hosts.push(group.hosts[i]);
  return result;
}

function reasonOf(host: Judged): Reason {
  if (host.failuresInARow >= FAILURES_IN_A_ROW) return Reason.Connections;
  if (host.badWindows >= 2 || host.farLooks >= FAR_LOOKS) return Reason.Errors;
  return host.slowWindows >= 2 ? Reason.Slow : Reason.None;
}

/** Sorts what it is given; the upper of the two middle ones, so that two bad hosts of three do not make a third look bad. */
function upperMedian(values: StaticArray<f64>, count: i32, fallback: f64): f64 {
  if (count === 0) return fallback;
  for (let i = 1; i < count; i++) {
    const value = unchecked(values[i]);
    let j = i - 1;
    while (j >= 0 && unchecked(values[j]) > value) {
      unchecked((values[j + 1] = values[j]));
      j--;
    }
    unchecked((values[j + 1] = value));
  }
  return unchecked(values[count / 2]);
}
