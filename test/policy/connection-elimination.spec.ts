import { ascii } from 'proxy-wasm-assemblyscript-sdk/slice';
import { Expected, isStale, judge, Mode, Outcome, ServiceTls } from '../../filters/connection-elimination/policy';
import { Share } from '../../filters/lane-fallback/policy';

const NOW: u64 = 1_800_000_000_000;
const BACK: u64 = 30_000;

function service(mode: Mode, percent: f64 = 100, returnMs: u64 = BACK): ServiceTls {
  return new ServiceTls(mode, new Share(percent, ascii('reviews')), returnMs);
}

describe('the expected state', () => {
  it('is plain when off and TLS when on, whatever the trace', () => {
    for (let trace: u64 = 0; trace < 100; trace++) {
      expect(service(Mode.Off).expect(trace, NOW)).toBe(Expected.Plain);
      expect(service(Mode.On, 0).expect(trace, NOW)).toBe(Expected.Tls);
    }
  });

  it('is TLS for the share of a canary, the same for the same trace', () => {
    const canary = service(Mode.Canary, 25);
    expect(canary.draws()).toBe(true);
    let tls = 0;
    for (let i: u64 = 1; i <= 10_000; i++) {
      const trace = i * 0x9e3779b97f4a7c15;
      const first = canary.expect(trace, NOW);
      expect(canary.expect(trace, NOW + 1)).toBe(first);
      if (first === Expected.Tls) tls++;
    }
    expect(tls).toBeGreaterThan(2300);
    expect(tls).toBeLessThan(2700);
  });

  it('is plain for a canary without a trace id, unless the share is the whole', () => {
    expect(service(Mode.Canary, 99).expect(0, NOW)).toBe(Expected.Plain);
    expect(service(Mode.Canary, 100).expect(0, NOW)).toBe(Expected.Tls);
    expect(service(Mode.Canary, 100).draws()).toBe(false);
    expect(service(Mode.Canary, 0).expect(77, NOW)).toBe(Expected.Plain);
  });

  it('takes in more traces as the share grows, and loses none', () => {
    const ten = service(Mode.Canary, 10);
    const sixty = service(Mode.Canary, 60);
    for (let i: u64 = 1; i <= 2_000; i++) {
      const trace = i * 0x9e3779b97f4a7c15;
      if (ten.expect(trace, NOW) === Expected.Tls) expect(sixty.expect(trace, NOW)).toBe(Expected.Tls);
    }
  });
});

describe('the way back to plain', () => {
  it('is open to a canary that has never completed TLS, for its time', () => {
    const canary = service(Mode.Canary);
    expect(canary.mayReturn()).toBe(false);
    expect(canary.failed(NOW)).toBe(true);
    expect(canary.mayReturn()).toBe(true);
    expect(canary.expect(0, NOW)).toBe(Expected.Returned);
    expect(canary.expect(0, NOW + BACK - 1)).toBe(Expected.Returned);
    expect(canary.expect(0, NOW + BACK)).toBe(Expected.Tls);
  });

  it('is closed once a host has completed TLS, also in the middle of it', () => {
    const canary = service(Mode.Canary);
    canary.failed(NOW);
    canary.completed = true;
    expect(canary.expect(0, NOW)).toBe(Expected.Tls);
    expect(canary.failed(NOW)).toBe(false);
    expect(canary.expect(0, NOW)).toBe(Expected.Tls);
  });

  it('does not exist at `on`, nor where its time is 0', () => {
    const on = service(Mode.On);
    expect(on.failed(NOW)).toBe(false);
    on.learn(NOW + BACK);
    expect(on.mayReturn()).toBe(false);
    expect(on.expect(0, NOW)).toBe(Expected.Tls);
    const never = service(Mode.Canary, 100, 0);
    expect(never.failed(NOW)).toBe(false);
    expect(never.expect(0, NOW)).toBe(Expected.Tls);
  });

  it('leaves alone what the canary has not drawn', () => {
    const canary = service(Mode.Canary, 50);
    canary.failed(NOW);
    expect(canary.expect(0, NOW)).toBe(Expected.Plain);
  });

  it('is learnt from other workers, the later end counts', () => {
    const canary = service(Mode.Canary);
    canary.learn(NOW + 10);
    canary.learn(NOW + 5);
    expect(canary.until()).toBe(NOW + 10);
    expect(canary.expect(0, NOW + 9)).toBe(Expected.Returned);
    expect(canary.expect(0, NOW + 10)).toBe(Expected.Tls);
  });

  it('does not last for ever when the clock jumps back', () => {
    const canary = service(Mode.Canary);
    canary.failed(NOW);
    expect(canary.expect(0, NOW - 3_600_000)).toBe(Expected.Tls);
    expect(canary.expect(0, 0)).toBe(Expected.Tls);
  });
});

describe('the actual state', () => {
  it('confirms or contradicts the expected one', () => {
    expect(judge(true, true, true, false)).toBe(Outcome.Confirmed);
    expect(judge(false, false, false, false)).toBe(Outcome.Confirmed);
    expect(judge(false, true, true, false)).toBe(Outcome.Mismatch);
    expect(judge(true, false, true, false)).toBe(Outcome.Mismatch);
    expect(judge(true, false, false, true)).toBe(Outcome.Failed);
    expect(judge(true, false, false, false)).toBe(Outcome.Unconnected);
  });

  it('makes a pooled connection stale, never a new one', () => {
    expect(isStale(true, false, true)).toBe(true);
    expect(isStale(false, true, true)).toBe(true);
    expect(isStale(true, false, false)).toBe(false);
    expect(isStale(true, true, true)).toBe(false);
    expect(isStale(false, false, true)).toBe(false);
  });
});
