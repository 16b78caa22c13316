/** The rows of README.md's table of bad input, inbound; those of the caller's side are in overload-shedding-outbound.test.ts. */
import { readFile } from 'node:fs/promises';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EmulatedHost, LogLevel, Status } from '../emulator/index.ts';
import { publishPressure } from '../support/agent-state.ts';
import { compilePlugin } from '../support/compile-plugin.ts';
import { CLASS, DROPPED, Instance } from './overloaded-instance.ts';

let module: Uint8Array<ArrayBuffer>;
let app: Instance;

function use(options: Record<string, unknown> = {}): void {
  app = new Instance(module, options);
}

beforeAll(async () => {
  module = new Uint8Array(await readFile(await compilePlugin('filters/suite.ts')));
});

beforeEach(() => use());

const ABSURD = ['', '-1', 'NaN', 'inf', '1e308', '86400001', '1, 2', 'soon', '\u00ff\u0080', '9'.repeat(60_000)];

describe('reports', () => {
  it.each(ABSURD)('T2 of "%.20s" is no report, and changes nothing', (value) => {
    app.warmUp();
    const stream = app.arrive();
    app.answer(stream, { 'x-queue-ms': value });
    expect(stream.clientResponse?.status).toBe(200);
    expect(app.counted()).toMatchObject({ invalid_report: 1, admitted: app.sent });
    app.host.clock.advance(100);
    expect(app.gauges()).toMatchObject({ queue_microseconds: 0, level_percent: 0 });
  });

  it.each(ABSURD)('an ORCA report of "%.20s" likewise', (value) => {
    use({ queueTime: 'orca' });
    app.warmUp({ 'endpoint-load-metrics': 'queue_ms:0' });
    const stream = app.arrive();
    app.answer(stream, { 'endpoint-load-metrics': value });
    expect(stream.clientResponse?.status).toBe(200);
    expect(app.counted()).toMatchObject({ invalid_report: 1, admitted: app.sent });
    expect(app.gauges()).toMatchObject({ level_percent: 0 });
  });

  it.each([
    ['endpoint-load-metrics', 'TEXT named_metrics.queue_ms=7,cpu_utilization=0.4'],
    ['endpoint-load-metrics', 'JSON {"named_metrics":{"queue_ms":7}}'],
    ['endpoint-load-metrics', 'BIN QhMKCHF1ZXVlX21zEQAAAAAAABxA'],
    ['endpoint-load-metrics-json', '{"named_metrics": {"queue_ms": 7}}'],
    ['endpoint-load-metrics-bin', 'QhMKCHF1ZXVlX21zEQAAAAAAABxA'],
  ])('an ORCA report in %s as "%s" is read', (header, value) => {
    use({ queueTime: 'orca' });
    app.warmUp({ [header]: value });
    expect(app.gauges().queue_microseconds).toBe(7000);
    expect(app.counted()).not.toHaveProperty('invalid_report');
  });

  it.each([
    ['queue_ms:-1,cpu_utilization:0.4', 0],
    ['JSON {"queue_ms": 1e308}', 0],
    ['queue_ms:7,cpu_utilization:-1', 7000],
    ['JSON {"queue_ms": 7, "cut', 0],
  ])('an ORCA report of "%s" is counted, and only what can be counts', (value, queue) => {
    use({ queueTime: 'orca' });
    app.warmUp({ 'endpoint-load-metrics': value });
    expect(app.counted().invalid_report).toBe(app.sent);
    expect(app.gauges().queue_microseconds).toBe(queue);
  });

  it('of several T2 headers the first counts', () => {
    app.warmUp();
    const stream = app.arrive();
    app.host.clock.advance(10);
    stream.responseHeaders([
      [':status', '200'],
      ['x-queue-ms', '4'],
      ['x-queue-ms', '9000'],
    ]);
    stream.end();
    app.host.clock.advance(300);
    expect(app.gauges().queue_microseconds).toBeLessThanOrEqual(4000);
    expect(app.counted()).not.toHaveProperty('invalid_report');
  });

  it('T2 above T3 counts as T3', () => {
    app.warmUp({ 'x-queue-ms': '80000000' });
    expect(app.gauges().queue_microseconds).toBe(10_000);
  });
});

describe('CPU', () => {
  it('at 90 % for 2 s makes the state hot, and stale reports of it do not', () => {
    use({ queueTime: 'orca' });
    app.warmUp({ 'endpoint-load-metrics': 'queue_ms:0,cpu_utilization:0.9' });
    app.warmUp({ 'endpoint-load-metrics': 'queue_ms:0,cpu_utilization:0.9' });
    expect(app.counted().hot).toBeGreaterThan(0);
    app.host.clock.advance(3000);
    app.warmUp({ 'endpoint-load-metrics': 'queue_ms:0' });
    const stream = app.arrive({ [CLASS]: '9' });
    expect(stream.calls('proxy_on_request_headers'), 'calm: nothing is read of a request').toHaveLength(1);
    expect(app.counted()).not.toHaveProperty('refused.class.9');
  });
});

describe('the machine’s CPU, as the agent has it', () => {
  const run = (
    seconds: number,
    perMille: number | undefined,
    report: Record<string, string> = { 'x-queue-ms': '0' },
  ) => {
    for (let second = 0; second < seconds; second++) {
      if (perMille !== undefined) publishPressure(app.host, perMille);
      for (let i = 0; i < 40; i++) {
        const stream = app.arrive();
        app.host.clock.advance(10);
        app.answer(stream, report);
        app.host.clock.advance(15);
      }
    }
  };

  it('makes the state hot when it is above 85 % for 2 s', () => {
    run(5, 840);
    expect(app.counted()).not.toHaveProperty('hot');
    run(5, 900);
    expect(app.counted().hot).toBeGreaterThan(0);
    expect(app.counted(), 'without a queue nothing is refused').not.toHaveProperty('refused.class.5');
  });

  it('does not count when the agent has been silent, nor beside a report of the application’s own', () => {
    publishPressure(app.host, 990);
    app.host.clock.advance(3_500);
    run(5, undefined);
    expect(app.counted()).not.toHaveProperty('hot');
    use({ queueTime: 'orca' });
    run(5, 990, { 'endpoint-load-metrics': 'queue_ms:0,cpu_utilization:0.3' });
    expect(app.counted()).not.toHaveProperty('hot');
  });
});

describe('requests', () => {
  it.each(['', '10', 'a', '-1', '1, 1', '\u00b9'])('a class of "%s" is class 5', (value) => {
    app.warmUpTo400();
    app.flood();
    app.answerOldest(app.inFlight - 16, 0);
    expect(app.arrive({ [CLASS]: value }).clientResponse?.status).toBe(503);
    expect(app.counted()).toMatchObject({ invalid_class: 1 });
  });

  it('of several classes the first counts', () => {
    app.warmUpTo400();
    app.flood();
    const classes = (...digits: string[]) => digits.map((digit) => [CLASS, digit] as const);
    expect(app.arrive(classes('0', '9')).clientResponse).toBeUndefined();
    expect(app.arrive(classes('9', '0')).clientResponse?.status).toBe(503);
    expect(app.counted()['refused.class.9']).toBe(1);
    expect(app.counted()).not.toHaveProperty('invalid_class');
  });

  it.each(['', 'x', '-5', '1e308', '100001', '1,1'])('"%s" dropped requests are none', (value) => {
    app.warmUp();
    app.flood();
    // The header is looked at over a threshold: the application stands still under load.
    app.overload();
    expect(app.gauges().level_percent).toBeGreaterThan(0);
    app.arrive({ [CLASS]: '9', [DROPPED]: value });
    expect(app.counted()).toMatchObject({ invalid_dropped: 1 });
    expect(app.counted()).not.toHaveProperty('held_back');
  });

  it('dropped requests that a caller tells of count as offered', () => {
    app.warmUp();
    app.flood();
    app.overload();
    app.arrive({ [CLASS]: '9', [DROPPED]: '49' });
    expect(app.counted()).toMatchObject({ held_back: 49 });
  });
});

describe('time', () => {
  it.each([-3_600_000, -1_000, 3_600_000])('a clock that is set by %i ms leaves nothing stuck', (jump) => {
    app.warmUp();
    app.flood();
    app.host.clock.jump(jump);
    app.answerAll();
    app.host.clock.advance(1500);
    for (let i = 0; i < 50; i++) app.exchange();
    expect(app.arrive().clientResponse).toBeUndefined();
    app.host.clock.advance(2000);
    expect(app.gauges()).toMatchObject({ level_percent: 0, in_flight: 1 });
  });

  it('an application that stood still for 5 s is served again within 2 s', () => {
    app.warmUp();
    for (let i = 0; i < 200; i++) {
      // Callers give up after 250 ms.
      if (i >= 10) app.resetOldest();
      app.arrive();
      app.host.clock.advance(25);
    }
    expect(app.counted()['refused.class.5']).toBeGreaterThan(0);
    app.answerAll();
    for (let i = 0; i < 80; i++) app.exchange();
    const before = app.counted()['refused.class.5'];
    for (let i = 0; i < 80; i++) app.exchange();
    expect(app.counted()['refused.class.5']).toBe(before);
  });
});

describe('shared data', () => {
  it('that holds something else is passed over', () => {
    const keys = ['record', 'live'].flatMap((kind) => [1, 2].map((slot) => `v1/shed/app/${kind}#${slot}`));
    for (const value of ['', 'garbage', '\u0000'.repeat(184), '\u00ff'.repeat(184)]) {
      for (const key of keys) app.host.sharedData.set('causeway', key, value, 0);
      app.warmUp();
      expect(app.gauges()).toMatchObject({ level_percent: 0, in_flight: 0 });
    }
  });

  it('that the host refuses leaves each worker on its own', () => {
    app.host.faults.plan({ call: 'proxy_get_shared_data', status: Status.NotFound });
    app.host.faults.plan({ call: 'proxy_set_shared_data', status: Status.InternalFailure });
    app.warmUp();
    app.flood();
    app.answerAll();
    expect(app.arrive().clientResponse).toBeUndefined();
  });
});

it('a VM that is replaced goes on with what is proven', () => {
  app.warmUpTo400();
  const { capacity_per_second: before = 0 } = app.gauges();
  expect(before).toBeGreaterThan(300);
  for (let i = 0; i < 10; i++) app.arrive();
  app.vm.shutdown();
  const fresh = app.worker();
  app.exchange({}, fresh);
  for (let i = 0; i < 10; i++) fresh.root.tick();
  expect(app.gaugesOf(fresh).capacity_per_second).toBeGreaterThanOrEqual(before * 0.9);
  app.host.clock.advance(1_000);
  expect(app.gaugesOf(fresh).in_flight, 'its requests are forgotten').toBe(0);
});

it.each([
  [{ direction: 'sideways' }, 'overload-shedding.direction'],
  [{ direction: 'inbound', targetMs: 0 }, 'overload-shedding.targetMs'],
  [{ direction: 'inbound', status: 200 }, 'overload-shedding.status'],
  [{ direction: 'inbound', surprise: 1 }, 'overload-shedding'],
  [{ direction: 'outbound', classes: [{ class: 10, match: {} }] }, 'overload-shedding.classes[0]'],
])('configuration %j is refused by name', (configuration, path) => {
  const host = new EmulatedHost(module);
  const vm = host.vm({ vmConfiguration: 'inbound', rootId: 'overload-shedding', configuration });
  expect(vm.configured).toBe(false);
  expect(host.messages(LogLevel.Critical).join('\n')).toContain(path);
});
