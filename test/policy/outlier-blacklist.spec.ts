import { HostState, Reason } from '../../filters/outlier-blacklist/judged';
import { Law } from '../../filters/outlier-blacklist/policy';
import { TIMES, timeClass, timeOfClass } from '../../filters/outlier-blacklist/row';
import { Simulation } from './outlier-simulation';

const TEN_MINUTES: i32 = 600;

describe('healthy hosts', () => {
  it('are never listed in ten minutes with 1 % random errors: 3 hosts, 300 requests/s', () => {
    for (let seed = 1; seed <= 5; seed++) {
      const mesh = new Simulation(3, 300, seed);
      mesh.errors.fill(0.01);
      mesh.run(TEN_MINUTES);
      expect<i32>(mesh.totalListings()).toBe(0);
    }
  });

  it('nor with 20 hosts, 2,000 requests/s', () => {
    for (let seed = 1; seed <= 3; seed++) {
      const mesh = new Simulation(20, 2000, seed);
      mesh.errors.fill(0.01);
      mesh.run(TEN_MINUTES);
      expect<i32>(mesh.totalListings()).toBe(0);
    }
  });

  it('nor when there is little traffic', () => {
    const mesh = new Simulation(20, 30, 9);
    mesh.errors.fill(0.01);
    mesh.run(TEN_MINUTES);
    expect<i32>(mesh.totalListings()).toBe(0);
  });

  it('nor when all of them become slow together', () => {
    const mesh = new Simulation(5, 500, 4);
    mesh.run(20);
    mesh.millis.fill(400);
    mesh.run(60);
    expect<i32>(mesh.totalListings()).toBe(0);
  });
});

describe('a bad host', () => {
  it('of three is out within 1.5 s of its first bad answer at 100 requests/s, whenever it begins', () => {
    for (let offset = 0; offset < 40; offset++) {
      const mesh = new Simulation(3, 100, offset + 1);
      mesh.errors.fill(0.01);
      for (let i = 0; i < 40 + offset; i++) mesh.tick();
      mesh.errors[1] = 1;
      const ticks = mesh.ticksUntilOut(1, 5);
      expect<bool>(ticks > 0 && ticks <= 6).toBe(true);
      expect<i32>(mesh.totalListings()).toBe(1);
      expect<Reason>(mesh.host(1).reason).toBe(Reason.Errors);
    }
  });

  it('that refuses connections is out after five in a row', () => {
    const mesh = new Simulation(3, 100, 3);
    mesh.run(10);
    mesh.failures[0] = 1;
    const ticks = mesh.ticksUntilOut(0, 5);
    expect<bool>(ticks > 0 && ticks <= 2).toBe(true);
    expect<Reason>(mesh.host(0).reason).toBe(Reason.Connections);
  });

  it('that fails 30 % is found', () => {
    for (let seed = 1; seed <= 5; seed++) {
      const mesh = new Simulation(3, 300, seed);
      mesh.errors.fill(0.01);
      mesh.run(20);
      mesh.errors[2] = 0.3;
      expect<bool>(mesh.ticksUntilOut(2, 10) > 0).toBe(true);
      expect<i32>(mesh.totalListings()).toBe(1);
    }
  });

  it('that fails 8 % among 20 is found by the long window', () => {
    const mesh = new Simulation(20, 2000, 6);
    mesh.errors.fill(0.01);
    mesh.run(20);
    mesh.errors[7] = 0.08;
    expect<bool>(mesh.ticksUntilOut(7, 60) > 0).toBe(true);
    expect<i32>(mesh.totalListings()).toBe(1);
  });

  it('that is slow is found, one that is a little slower is not', () => {
    const mesh = new Simulation(3, 300, 5);
    mesh.run(20);
    mesh.millis[0] = 40;
    mesh.run(30);
    expect<i32>(mesh.totalListings()).toBe(0);
    mesh.millis[0] = 300;
    expect<bool>(mesh.ticksUntilOut(0, 10) > 0).toBe(true);
    expect<Reason>(mesh.host(0).reason).toBe(Reason.Slow);
    expect<i32>(mesh.totalListings()).toBe(1);
  });
});

describe('the bounds', () => {
  it('keep every host when all are bad', () => {
    const mesh = new Simulation(4, 400, 2);
    mesh.run(10);
    mesh.errors.fill(0.9);
    mesh.run(60);
    expect<i32>(mesh.totalListings()).toBe(0);
  });

  it('never take more than half, nor the last one', () => {
    const mesh = new Simulation(5, 500, 2);
    mesh.run(10);
    mesh.failures.fill(1);
    for (let i = 0; i < 400; i++) {
      mesh.tick();
      expect<i32>(mesh.judge.groups[0].out()).toBeLessThanOrEqual(2);
    }
    const alone = new Simulation(1, 100, 2);
    alone.failures.fill(1);
    alone.run(30);
    expect<i32>(alone.totalListings()).toBe(0);
    expect<i32>(alone.judge.spared).toBeGreaterThan(0);
    const pair = new Simulation(2, 100, 2);
    pair.failures.fill(1);
    pair.run(30);
    expect<i32>(pair.judge.groups[0].out()).toBe(1);
  });
});

describe('the way back', () => {
  it('leads through a cool-down of 30 to 33 s, a probe and 5, 10, 25, 50 % to the whole share', () => {
    const mesh = new Simulation(3, 300, 7);
    mesh.run(10);
    mesh.errors[0] = 1;
    mesh.ticksUntilOut(0, 5);
    const since = mesh.now;
    mesh.errors[0] = 0;
    while (mesh.state(0) === HostState.Out && mesh.now < since + 60_000) mesh.tick();
    expect<bool>(mesh.now - since >= 30_000 && mesh.now - since <= 33_250).toBe(true);
    const shares: i32[] = [5, 10, 25, 50];
    for (let i = 0; i < 4; i++) {
      expect<i32>(mesh.host(0).share()).toBe(shares[i]);
      mesh.run(10);
    }
    mesh.tick();
    expect<HostState>(mesh.state(0)).toBe(HostState.Good);
    mesh.run(60);
    expect<i32>(mesh.totalListings()).toBe(1);
  });

  it('costs a host that is still bad few requests, and doubles its cool-down up to 300 s', () => {
    const mesh = new Simulation(3, 300, 8);
    mesh.run(10);
    mesh.errors[0] = 1;
    mesh.ticksUntilOut(0, 5);
    const failed = mesh.failed[0];
    for (let i = 0; i < 3600 * 4; i++) {
      mesh.tick();
      const host = mesh.host(0);
      expect<bool>(host.until - mesh.now <= 330_000).toBe(true);
    }
    // 30, 60, 120, 240, 300 … s: every probe fails, so no request reaches it.
    expect<i32>(mesh.failed[0]).toBe(failed);
    expect<i32>(mesh.host(0).times).toBe(10);
  });

  it('does not let a flapping host oscillate', () => {
    const mesh = new Simulation(3, 300, 11);
    // Bad for 20 s, good for 40 s, for an hour: it looks well to many probes.
    for (let minute = 0; minute < 60; minute++) {
      mesh.errors[1] = 1;
      mesh.run(20);
      mesh.errors[1] = 0;
      mesh.run(40);
    }
    expect<i32>(mesh.listings[0] + mesh.listings[2]).toBe(0);
    // Without doubling it would be listed every minute; its errors stay a small part of an hour's million requests.
    expect<i32>(mesh.listings[1]).toBeLessThanOrEqual(16);
    expect<i32>(mesh.failed[1]).toBeLessThanOrEqual(1500);
  });

  it('forgives a host that stays good', () => {
    const mesh = new Simulation(3, 300, 12, new Law(0.2, 1_000, 4_000, 1_000));
    mesh.run(10);
    mesh.errors[0] = 1;
    mesh.ticksUntilOut(0, 5);
    mesh.errors[0] = 0;
    mesh.run(30);
    expect<i32>(mesh.host(0).times).toBe(1);
    mesh.run(320);
    expect<i32>(mesh.host(0).times).toBe(0);
  });
});

describe('the classes of time', () => {
  it('rise, and hold their own middle', () => {
    for (let i = 1; i < TIMES - 1; i++) {
      expect<i32>(timeClass(((timeOfClass(i) * 1024) as u64) + 1)).toBe(i === 2 ? 1 : i);
    }
    expect<i32>(timeClass(0)).toBe(0);
    expect<i32>(timeClass(u64.MAX_VALUE)).toBe(TIMES - 1);
  });
});
