import { Closed, Gate } from '../../filters/isolation/policy';

const NOW: f64 = 1_800_000_000_000;
const DRAIN: f64 = 30_000;

function gate(isolated: bool = false, opensAt: f64 = 0): Gate {
  return new Gate(isolated, DRAIN, opensAt);
}

describe('what an instance lets in', () => {
  it('is everything, unless something is said', () => {
    const open = gate();
    expect(open.state).toBe(Closed.Open);
    open.see(false, NOW);
    expect(open.state).toBe(Closed.Open);
  });

  it('is nothing from the first request on, when it is isolated', () => {
    expect(gate(true).state).toBe(Closed.Isolated);
  });

  it('is nothing while it is offline, isolated or not', () => {
    const one = gate();
    one.see(true, NOW);
    expect(one.state).toBe(Closed.Offline);
    one.see(false, NOW + 1);
    expect(one.state).toBe(Closed.Open);
    const other = gate(true);
    other.see(true, NOW);
    expect(other.state).toBe(Closed.Offline);
    other.see(false, NOW + 1);
    expect(other.state).toBe(Closed.Isolated);
  });

  it('is nothing before its time, and everything from then on, also when the clock jumps back', () => {
    const late = gate(false, NOW + 5000);
    expect(late.state).toBe(Closed.Starting);
    late.see(false, NOW + 4999);
    expect(late.state).toBe(Closed.Starting);
    late.see(false, NOW + 5000);
    expect(late.state).toBe(Closed.Open);
    late.see(false, NOW);
    expect(late.state).toBe(Closed.Open);
  });
});

describe('what flows', () => {
  it('has its time from the moment it closed', () => {
    const one = gate(true);
    one.see(false, NOW);
    expect(one.drained(NOW)).toBe(false);
    one.see(false, NOW + DRAIN - 1);
    expect(one.drained(NOW + DRAIN - 1)).toBe(false);
    expect(one.drained(NOW + DRAIN)).toBe(true);
  });

  it('is left alone while it is open, has just started, or has opened again', () => {
    const open = gate();
    open.see(false, NOW);
    expect(open.drained(NOW + 2 * DRAIN)).toBe(false);
    const late = gate(false, NOW + 10 * DRAIN);
    late.see(false, NOW);
    expect(late.drained(NOW + 2 * DRAIN)).toBe(false);
    const back = gate();
    back.see(true, NOW);
    back.see(false, NOW + 1000);
    expect(back.drained(NOW + 2 * DRAIN)).toBe(false);
    back.see(true, NOW + 5000);
    expect(back.drained(NOW + DRAIN)).toBe(false);
    expect(back.drained(NOW + 5000 + DRAIN)).toBe(true);
  });

  it('keeps its time across a change of configuration', () => {
    const before = gate(true);
    before.see(false, NOW);
    const after = gate(true);
    after.follow(before);
    after.see(false, NOW + 10_000);
    expect(after.drained(NOW + DRAIN)).toBe(true);
    const released = gate();
    released.follow(after);
    released.see(false, NOW + 20_000);
    expect(released.drained(NOW + DRAIN)).toBe(false);
  });

  it('has its whole time again when the clock jumps back, and ends at once where it gets none', () => {
    const one = gate(true);
    one.see(false, NOW);
    one.see(false, NOW - 1000);
    expect(one.drained(NOW - 1000 + DRAIN - 1)).toBe(false);
    expect(one.drained(NOW - 1000 + DRAIN)).toBe(true);
    const none = new Gate(true, 0, 0);
    none.see(false, NOW);
    expect(none.drained(NOW)).toBe(true);
  });

  it('goes on offline under a configuration that does not know of it yet', () => {
    const before = gate();
    before.see(true, NOW);
    const after = gate();
    after.follow(before);
    expect(after.state).toBe(Closed.Offline);
  });
});

describe('an order of the healing centre', () => {
  const START: f64 = NOW - 60_000;
  const obeying = (startedAt: f64 = START): Gate => new Gate(false, DRAIN, 0, startedAt);

  it('closes the instance until it ends, and what flows has its time', () => {
    const one = obeying();
    one.see(false, NOW, NOW + 60_000);
    expect(one.state).toBe(Closed.Isolated);
    one.see(false, NOW + 59_999, NOW + 60_000);
    expect(one.state).toBe(Closed.Isolated);
    expect(one.drained(NOW + DRAIN)).toBe(true);
    one.see(false, NOW + 60_000, NOW + 60_000);
    expect(one.state).toBe(Closed.Open);
    expect(one.drained(NOW + 2 * DRAIN)).toBe(false);
  });

  it('is none when it would hold for longer than a minute, as after a jump of the clock', () => {
    const one = obeying();
    one.see(false, NOW, NOW + 60_001);
    expect(one.state).toBe(Closed.Open);
  });

  it('means nothing where the centre is not obeyed', () => {
    const one = gate();
    one.see(false, NOW, NOW + 1_000);
    expect(one.state).toBe(Closed.Open);
  });

  it('is waited for after a start: until the centre has been asked, three seconds at most', () => {
    const one = obeying(NOW);
    expect(one.state).toBe(Closed.Starting);
    one.see(false, NOW + 2_999);
    expect(one.state).toBe(Closed.Starting);
    one.see(false, NOW + 3_000);
    expect(one.state).toBe(Closed.Open);
    one.see(false, NOW + 100);
    expect(one.state).toBe(Closed.Open);
    const told = obeying(NOW);
    told.see(false, NOW + 500, 0);
    expect(told.state).toBe(Closed.Open);
    const isolated = obeying(NOW);
    isolated.see(false, NOW + 500, NOW + 30_000);
    expect(isolated.state).toBe(Closed.Isolated);
  });
});
