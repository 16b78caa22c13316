import { ascii } from 'proxy-wasm-assemblyscript-sdk/slice';
import { Breaker, BreakerLaw, BreakerState } from '../../filters/degradation/breaker';
import { Change, Decision, Group, HOSTS } from '../../filters/degradation/group';
import { ALL_OF, CutTrigger, Draw, DropRule, NOT_OF } from '../../filters/degradation/policy';
import { Share } from '../../filters/lane-fallback/policy';

const LAW = new BreakerLaw(5_000, 300_000, 5_000);
const START: f64 = 1_700_000_000_000;
const draw = new Draw(42);
const scope: StaticArray<i32> = [ALL_OF, 3, NOT_OF];

/** Requests at an even rate to one group whose hosts fail; what was sent, what was refused, and how many went well. */
class Run {
  now: f64 = START;
  sent: i32 = 0;
  refused: i32 = 0;
  good: i32 = 0;
  probes: i32 = 0;

  constructor(
    readonly group: Group,
    readonly perSecond: f64,
  ) {}

  /** `ok` of host number i: probability that it answers well. With `capacity`, so many a second go well instead. */
  pass(seconds: f64, ok: StaticArray<f64>, capacity: f64 = 0): void {
    this.sent = 0;
    this.refused = 0;
    this.good = 0;
    this.probes = 0;
    const end = this.now + seconds * 1000;
    let second = this.now;
    let left = capacity;
    while (this.now < end) {
      this.now += 1000 / this.perSecond;
      if (this.now - second >= 100) {
        second = this.now;
        left = capacity / 10;
      }
      const decision = this.group.decide(draw.next(), this.now);
      if (decision === Decision.Refuse) {
        this.refused++;
        continue;
      }
      if (decision === Decision.Probe) this.probes++;
      this.sent++;
      const host = (draw.next() * (ok.length as f64)) as i32;
      let well = draw.next() < ok[host];
      if (capacity > 0) well = left-- >= 1;
      if (well) this.good++;
      this.group.answered((host + 1) as u64, well, this.now, LAW);
    }
  }

  share(): f64 {
    return ((this.refused as f64) / ((this.refused + this.sent) as f64)) * 100;
  }
}

function between(value: f64, from: f64, to: f64): bool {
  const inside = value >= from && value <= to;
  if (!inside) trace('value', 3, value, from, to);
  return inside;
}

function breaker(): Breaker {
  const made = new Breaker();
  made.take(1, START);
  return made;
}

describe('the law', () => {
  it('is the given formula, at every mix of 200 requests', () => {
    for (let good = 10; good <= 200; good += 5) {
      const one = breaker();
      for (let i = 0; i < good; i++) one.answered(true, START, LAW);
      for (let i = good; i < 200; i++) one.answered(false, START, LAW);
      const wanted = max<f64>(0, (200 - 5 - 1.5 * (good as f64)) / 201);
      const opened = wanted >= 0.9;
      expect<i32>(one.state).toBe(opened ? BreakerState.Open : BreakerState.Closed);
      const refusal = one.refusal(START);
      expect<bool>(between(refusal, opened ? 1 : wanted - 1e-9, opened ? 1 : wanted + 1e-9)).toBe(true);
    }
  });

  it('refuses nothing below five requests, and nothing at a third of failures', () => {
    const few = breaker();
    for (let i = 0; i < 5; i++) few.answered(false, START, LAW);
    expect<f64>(few.refusal(START)).toBe(0);
    const third = breaker();
    for (let i = 0; i < 300; i++) third.answered(i % 3 !== 0, START, LAW);
    expect<f64>(third.refusal(START)).toBe(0);
  });

  it('forgets after 10 s', () => {
    const one = breaker();
    for (let i = 0; i < 20; i++) one.answered(false, START, LAW);
    expect<bool>(one.refusal(START + 9_000) > 0.5).toBe(true);
    expect<f64>(one.refusal(START + 10_001)).toBe(0);
  });

  it('weighs good answers less, the more buckets in a row fail', () => {
    const one = breaker();
    for (let i = 0; i < 10; i++) one.answered(true, START, LAW);
    for (let i = 1; i <= 20; i++) one.answered(false, START + 250 * (i as f64), LAW);
    const weight = 1.5 - (0.4 * 20) / 40;
    const wanted = (30 - 5 - weight * 10) / 31;
    const refusal = one.refusal(START + 5_000);
    expect<bool>(between(refusal, wanted - 0.001, wanted + 0.001)).toBe(true);
  });

  it('is not upset by a clock that jumps', () => {
    const one = breaker();
    for (let i = 0; i < 20; i++) one.answered(false, START, LAW);
    expect<f64>(one.refusal(START - 3_600_000)).toBe(0);
    for (let i = 0; i < 200; i++) one.answered(false, START, LAW);
    expect<i32>(one.state).toBe(BreakerState.Open);
    // An hour back: the cool-down may not take an hour.
    const back = START - 3_600_000;
    one.answered(true, back, LAW);
    one.answered(true, back + 5_001, LAW);
    expect<i32>(one.state).toBe(BreakerState.Return);
    expect<f64>(one.refusal(f64.MAX_VALUE)).toBe(0.95);
  });
});

describe('simulated: the share that is refused', () => {
  it('is none while all is well', () => {
    const run = new Run(new Group(), 200);
    run.pass(30, [1]);
    expect<i32>(run.refused).toBe(0);
    run.pass(30, [0.8]);
    expect<i32>(run.refused).toBe(0);
  });

  it('lets through half as much again as goes well, within two points', () => {
    // A callee that serves 100/s of 300/s: by the law 1 − 1.5 · 100/300 is refused.
    const run = new Run(new Group(), 300);
    run.pass(20, [1], 100);
    run.pass(60, [1], 100);
    expect<bool>(between(run.share(), 48, 52)).toBe(true);
    const more = new Run(new Group(), 1_000);
    more.pass(20, [1], 500);
    more.pass(60, [1], 500);
    expect<bool>(between(more.share(), 23, 27)).toBe(true);
  });

  it('is all but one probe a second when nothing goes well', () => {
    const run = new Run(new Group(), 200);
    run.pass(20, [0]);
    run.pass(60, [0]);
    expect<bool>(between(run.sent as f64, 58, 62)).toBe(true);
    expect<i32>(run.probes).toBe(run.sent);
  });

  it('is none when one of two, or of three hosts is bad: the others are not', () => {
    const two = new Run(new Group(), 200);
    two.pass(60, [0, 1]);
    expect<i32>(two.refused).toBe(0);
    const three = new Run(new Group(), 200);
    three.pass(60, [1, 0, 1]);
    expect<i32>(three.refused).toBe(0);
  });

  it('would be nearly all for the same two hosts, were they counted together', () => {
    const pooled = new Run(new Group(), 200);
    pooled.pass(60, [0.5]);
    pooled.pass(30, [0.5]);
    expect<bool>(pooled.share() > 90).toBe(true);
  });

  it('is all but probes when all of three hosts are bad', () => {
    const run = new Run(new Group(), 300);
    run.pass(30, [0, 0, 0]);
    run.pass(30, [0, 0, 0]);
    expect<bool>(between(run.sent as f64, 28, 32)).toBe(true);
  });
});

describe('simulated: the return', () => {
  it('goes by 5, 10, 25 and 50 %, within two points', () => {
    const run = new Run(new Group(), 400);
    run.pass(10, [0]);
    // Until the first probe after the cool-down.
    while (run.group.refusal(run.now) === 1) run.pass(0.01, [1]);
    const shares: f64[] = [95, 90, 75, 50];
    for (let i = 0; i < 4; i++) {
      run.pass(4.5, [1]);
      expect<bool>(between(run.share(), shares[i] - 2, shares[i] + 2)).toBe(true);
      run.pass(0.55, [1]);
    }
    run.pass(5, [1]);
    expect<i32>(run.refused).toBe(0);
  });

  it('goes back at a bad window, for twice as long, 300 s at most', () => {
    const one = breaker();
    for (let i = 0; i < 200; i++) one.answered(false, START, LAW);
    let now = START;
    let coolDown: f64 = 5_000;
    for (let i = 0; i < 9; i++) {
      one.answered(true, now + coolDown - 1, LAW);
      expect<i32>(one.state).toBe(BreakerState.Open);
      now += coolDown + 1;
      one.answered(true, now, LAW);
      expect<i32>(one.state).toBe(BreakerState.Return);
      one.answered(false, now, LAW);
      one.answered(false, now, LAW);
      one.answered(false, now, LAW);
      expect<i32>(one.state).toBe(BreakerState.Open);
      coolDown = min<f64>(coolDown * 2, 300_000);
    }
    expect<f64>(coolDown).toBe(300_000);
  });

  it('goes back when a probe goes badly', () => {
    const one = breaker();
    for (let i = 0; i < 200; i++) one.answered(false, START, LAW);
    one.answered(false, START + 5_001, LAW);
    one.answered(true, START + 10_003, LAW);
    expect<i32>(one.state).toBe(BreakerState.Open);
    one.answered(true, START + 15_003, LAW);
    expect<i32>(one.state).toBe(BreakerState.Return);
  });
});

describe('hosts', () => {
  it('that the agent says are away do not count', () => {
    const run = new Run(new Group(), 200);
    run.pass(30, [0, 1]);
    expect<f64>(run.group.refusal(run.now)).toBe(0);
    // Only the bad one is left.
    run.group.beginList();
    run.group.hostListed(1);
    expect<f64>(run.group.refusal(run.now)).toBe(1);
    run.group.forgetList();
    expect<f64>(run.group.refusal(run.now)).toBe(0);
  });

  it('beyond the most that are watched take the place of the longest silent', () => {
    const group = new Group();
    for (let i = 1; i <= 1000; i++) group.answered(i, true, START + (i as f64), LAW);
    for (let i = 0; i < 200; i++) {
      for (let host = 0; host < HOSTS; host++) group.answered(5_000 + host, false, START + 2_000, LAW);
    }
    expect<f64>(group.refusal(START + 2_000)).toBe(1);
  });

  it('tell when they open and close', () => {
    const group = new Group();
    let opened = 0;
    for (let i = 0; i < 200; i++) if (group.answered(1, false, START, LAW) === Change.Opened) opened++;
    expect<i32>(opened).toBe(1);
    let now = START + 5_001;
    let closed = 0;
    for (let i = 0; i < 6; i++) {
      if (group.answered(1, true, now, LAW) === Change.Closed) closed++;
      now += 5_001;
    }
    expect<i32>(closed).toBe(1);
  });
});

describe('a drop', () => {
  it('takes its share of traces, alike on every hop, within two points', () => {
    const here = new DropRule(30, new Share(30, ascii('shop')), 1, scope);
    const there = new DropRule(30, new Share(30, ascii('shop')), 1, scope);
    let dropped = 0;
    for (let i = 1; i <= 20_000; i++) {
      const trace = ((i as u64) * 0x9e3779b97f4a7c15) ^ 77;
      const drawn = here.draws(trace, draw.next());
      expect<bool>(there.draws(trace, draw.next())).toBe(drawn);
      if (drawn) dropped++;
    }
    expect<bool>(between((dropped as f64) / 200, 28, 32)).toBe(true);
  });

  it('takes its share of requests without a trace too', () => {
    const rule = new DropRule(30, new Share(30, ascii('shop')), 1, scope);
    let dropped = 0;
    for (let i = 0; i < 20_000; i++) if (rule.draws(0, draw.next())) dropped++;
    expect<bool>(between((dropped as f64) / 200, 28, 32)).toBe(true);
  });

  it('takes none at 0 and all at 100 percent', () => {
    const none = new DropRule(0, new Share(0, ascii('x')), 1, scope);
    const all = new DropRule(100, new Share(100, ascii('x')), 1, scope);
    for (let i: u64 = 0; i < 1_000; i++) {
      expect<bool>(none.draws(i, draw.next())).toBe(false);
      expect<bool>(all.draws(i, draw.next())).toBe(true);
    }
  });

  it('applies to its services, interfaces and classes, never to class 0', () => {
    const rule = new DropRule(100, new Share(100, ascii('x')), 5, scope);
    expect<bool>(rule.applies(0, 7, 5)).toBe(true);
    expect<bool>(rule.applies(0, 7, 4)).toBe(false);
    expect<bool>(rule.applies(0, 7, 9)).toBe(true);
    expect<bool>(rule.applies(1, 3, 5)).toBe(true);
    expect<bool>(rule.applies(1, 2, 5)).toBe(false);
    expect<bool>(rule.applies(2, 3, 5)).toBe(false);
    const every = new DropRule(100, new Share(100, ascii('x')), 1, scope);
    expect<bool>(every.applies(0, 0, 0)).toBe(false);
  });
});

describe('a cut', () => {
  it('holds by hand', () => {
    expect<bool>(new CutTrigger(true, 0, 0).holds(START)).toBe(true);
    expect<bool>(new CutTrigger(false, 0, 0).holds(START)).toBe(false);
  });

  it('holds while a signal is up, and five seconds longer', () => {
    const cut = new CutTrigger(false, 900, 8);
    cut.seePressure(899, START);
    cut.seePressure(-1, START);
    cut.seeShed(9 * 128, START);
    expect<bool>(cut.holds(START)).toBe(false);
    cut.seePressure(900, START);
    expect<bool>(cut.holds(START + 4_999)).toBe(true);
    expect<bool>(cut.holds(START + 5_000)).toBe(false);
    cut.seeShed(8 * 128 + 5, START + 6_000);
    expect<bool>(cut.holds(START + 6_001)).toBe(true);
    expect<bool>(cut.holds(START - 3_600_000)).toBe(false);
  });
});
