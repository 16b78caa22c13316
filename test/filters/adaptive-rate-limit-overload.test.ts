/** The adaptive limit in the compiled module: a simulated application of 100 requests per second, one at a time. */
import { readFile } from 'node:fs/promises';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AdaptiveRateLimitConfig } from '../../filters/adaptive-rate-limit/schema.ts';
import type { HeaderList, HttpStream, Vm } from '../emulator/index.ts';
import { publishPressure } from '../support/agent-state.ts';
import { compilePlugin } from '../support/compile-plugin.ts';
import { LimitedInstance } from './limited-instance.ts';

const CLASS = 'x-causeway-class';
const ADAPTIVE: AdaptiveRateLimitConfig = {
  interfaces: [
    { name: 'a', template: '/a' },
    { name: 'b', template: '/b' },
    { name: 'c', template: '/c' },
  ],
  adaptive: { after: 1 },
};
/** What the application says in its answers, by how long the request has waited. */
type Report = (queueMs: number) => HeaderList;
const TELLS: Report = (queueMs) => [['x-queue-ms', String(queueMs)]];

let module: Uint8Array<ArrayBuffer>;
let app: Application;

beforeAll(async () => {
  module = new Uint8Array(await readFile(await compilePlugin('filters/suite.ts')));
}, 600_000);

/** A request every so often on each path, worked off one after another. */
class Application {
  readonly instance: LimitedInstance;
  report = TELLS;
  serviceMs = 10;
  /** One in so many of the admitted is refused by overload-shedding behind the limits; 0 = none. */
  shedEvery = 0;
  readonly refused = new Map<string, number>();
  readonly sent = new Map<string, number>();
  readonly #queue: { stream: HttpStream; arrived: number; vm: Vm }[] = [];
  #busyUntil = 0;
  #now = 0;
  #working = false;
  #sent = 0;

  constructor(configuration: AdaptiveRateLimitConfig, workers = 1) {
    this.instance = new LimitedInstance(module, configuration, workers);
  }

  /** `rates`: requests per second by path. */
  run(seconds: number, rates: Readonly<Record<string, number>>, headers: HeaderList = []): void {
    // Apart from each other, so that a calm application has no queue.
    const due = Object.keys(rates).map((_path, i, all) => i / all.length);
    this.refused.clear();
    this.sent.clear();
    for (let ms = 0; ms < seconds * 1000; ms++) {
      this.#work();
      for (const [i, [path, rate]] of Object.entries(rates).entries()) {
        due[i] = (due[i] ?? 0) + rate / 1000;
        for (; (due[i] ?? 0) >= 1; due[i] = (due[i] ?? 0) - 1) this.#arrive(path, headers);
      }
      this.#now++;
      this.instance.host.clock.advance(1);
    }
  }

  share(path: string): number {
    return 1 - (this.refused.get(path) ?? 0) / (this.sent.get(path) ?? 1);
  }

  limit(name: string): number {
    return this.instance.metrics()[`limit_per_second.interface.${name}`] ?? 0;
  }

  #arrive(path: string, headers: HeaderList): void {
    const vm = this.instance.workers[this.#sent++ % this.instance.workers.length] ?? this.instance.vm;
    const stream = this.instance.arrive(path, headers, vm);
    this.sent.set(path, (this.sent.get(path) ?? 0) + 1);
    if (stream.clientResponse === undefined && this.shedEvery > 0 && this.#sent % this.shedEvery === 0) {
      stream.responseHeaders([
        [':status', '503'],
        ['x-causeway-shed', '640'],
      ]);
      stream.end();
      return;
    }
    if (stream.clientResponse === undefined) {
      this.#queue.push({ stream, arrived: this.#now, vm });
      return;
    }
    stream.end();
    this.refused.set(path, (this.refused.get(path) ?? 0) + 1);
  }

  #work(): void {
    if (this.#working && this.#now >= this.#busyUntil) {
      const job = this.#queue.shift();
      this.#working = false;
      if (job === undefined) return;
      const waited = Math.max(this.#busyUntil - this.serviceMs - job.arrived, 0);
      job.stream.responseHeaders([[':status', '200'], ...this.report(waited)]);
      job.stream.end();
    }
    if (this.#working || this.#queue.length === 0) return;
    this.#working = true;
    this.#busyUntil = this.#now + this.serviceMs;
  }
}

const CALM = { '/a': 20, '/b': 20, '/c': 20 };
const SURGE = { '/a': 20, '/b': 20, '/c': 120 };

describe.each([1, 2, 4])('with %i workers', (workers) => {
  beforeEach(() => {
    app = new Application(ADAPTIVE, workers);
    app.run(10, CALM);
  });

  it('limits the interface that has risen, and nobody else', () => {
    app.run(20, SURGE);
    expect([app.share('/a'), app.share('/b')]).toEqual([1, 1]);
    expect(app.share('/c')).toBeLessThan(0.6);
    expect(app.share('/c')).toBeGreaterThan(0.2);
    expect(app.instance.metrics()).toMatchObject({ 'refused.reason.adaptive.interface.c': expect.any(Number) });
    const refused = Array.from({ length: 100 }, () => app.instance.arrive('/c')).at(-1);
    expect(refused?.clientResponse).toMatchObject({ status: 429, details: 'causeway_adaptive_rate_limit_adaptive' });
  });

  it('limits what fits no interface as the interface `other`', () => {
    app.run(10, { ...CALM, '/elsewhere': 5 });
    app.run(5, { ...CALM, '/elsewhere': 120 });
    expect(app.instance.metrics()).toMatchObject({ 'refused.reason.adaptive.interface.other': expect.any(Number) });
    expect(app.share('/a')).toBe(1);
  });

  it('lets go of the limit when the surge is over', () => {
    app.run(10, SURGE);
    expect(app.limit('c')).toBeGreaterThan(0);
    app.run(14, CALM);
    expect(app.limit('c')).toBe(0);
    expect(app.share('/c')).toBeGreaterThan(0.9);
  });
});

describe('signals', () => {
  it('are T3 and flow where the application tells nothing', () => {
    app = new Application(ADAPTIVE);
    app.report = () => [];
    app.run(10, CALM);
    app.run(10, SURGE);
    expect(app.share('/a')).toBe(1);
    expect(app.share('/c')).toBeLessThan(0.6);
  });

  it('are not T3 alone: a slow dependency limits nobody', () => {
    app = new Application(ADAPTIVE);
    app.report = () => [];
    app.run(10, CALM);
    const open: HttpStream[] = [];
    for (let ms = 0; ms < 10_000; ms++) {
      if (ms % 50 === 0) open.push(app.instance.arrive('/a'));
      // Each answer takes 150 ms from now on; as many come as go.
      if (ms % 50 === 0 && ms >= 150) {
        const stream = open.shift();
        stream?.responseHeaders([[':status', '200']]);
        stream?.end();
      }
      app.instance.host.clock.advance(1);
    }
    expect(app.instance.metrics()).not.toHaveProperty('refused.reason.adaptive.interface.a');
  });

  it('are a header of the application’s own, as a mean', () => {
    app = new Application({
      ...ADAPTIVE,
      queueTime: 'none',
      adaptive: { after: 1, signal: { header: 'X-Load', threshold: 0.8 } },
    });
    app.serviceMs = 1;
    app.report = () => [['x-load', '0.4']];
    app.run(10, CALM);
    app.report = () => [['x-load', '1.6']];
    app.run(4, SURGE);
    expect(app.limit('c')).toBeGreaterThan(0);
  });

  it('are the CPU of an ORCA report', () => {
    app = new Application({ ...ADAPTIVE, queueTime: 'orca' });
    app.serviceMs = 1;
    app.report = () => [['endpoint-load-metrics', 'TEXT cpu_utilization:0.4, named_metrics.queue_ms:0']];
    app.run(10, CALM);
    app.report = () => [['endpoint-load-metrics', 'TEXT cpu_utilization:0.99, named_metrics.queue_ms:0']];
    app.run(4, SURGE);
    expect(app.limit('c')).toBeGreaterThan(0);
  });

  it('are what overload-shedding refuses behind the limits', () => {
    const risen = { ...CALM, '/c': 45 };
    app = new Application(ADAPTIVE);
    app.run(10, CALM);
    app.run(2, risen);
    expect(app.share('/c'), 'nothing is shed').toBe(1);
    app.shedEvery = 10;
    app.run(2, risen);
    expect(app.share('/a')).toBe(1);
    expect(app.share('/c')).toBeLessThan(1);
    expect(app.limit('c')).toBeGreaterThan(0);
  });

  it('are the CPU of the machine, as the agent has it and as long as it is there', () => {
    app = new Application(ADAPTIVE);
    app.serviceMs = 1;
    const run = (seconds: number, perMille: number, rates: Readonly<Record<string, number>>): void => {
      for (let second = 0; second < seconds; second++) {
        publishPressure(app.instance.host, perMille);
        app.run(1, rates);
      }
    };
    run(10, 400, CALM);
    run(3, 840, SURGE);
    expect(app.limit('c'), 'below the threshold').toBe(0);
    run(3, 990, SURGE);
    expect(app.limit('c')).toBeGreaterThan(0);
    app.run(40, SURGE);
    expect(app.limit('c'), 'the agent is silent').toBe(0);
  });

  it('are the CPU that the application reports rather than that of the machine', () => {
    app = new Application({ ...ADAPTIVE, queueTime: 'orca' });
    app.serviceMs = 1;
    app.report = () => [['endpoint-load-metrics', 'TEXT cpu_utilization:0.4, named_metrics.queue_ms:0']];
    app.run(10, CALM);
    for (let second = 0; second < 4; second++) {
      publishPressure(app.instance.host, 990);
      app.run(1, SURGE);
    }
    expect(app.limit('c')).toBe(0);
  });

  it('do nothing before they have lasted', () => {
    app = new Application({ ...ADAPTIVE, adaptive: { after: 5 } });
    app.run(10, CALM);
    app.run(4, SURGE);
    expect(app.share('/c')).toBe(1);
    app.run(3, SURGE);
    expect(app.share('/c')).toBeLessThan(1);
  });
});

describe('stress-test traffic', () => {
  it('is refused first: nobody is limited when that is enough', () => {
    app = new Application({ ...ADAPTIVE, adaptive: { after: 2 } });
    app.run(10, CALM);
    for (let second = 0; second < 20; second++) {
      app.run(0.5, CALM);
      app.run(0.5, { '/c': 160 }, [[CLASS, '9']]);
    }
    const metrics = app.instance.metrics();
    expect(metrics['refused.reason.stress']).toBeGreaterThan(100);
    expect(Object.keys(metrics).filter((name) => name.startsWith('refused.reason.adaptive'))).toEqual([]);
  });

  it('is what the configured matcher says', () => {
    app = new Application({
      ...ADAPTIVE,
      stress: { class: false, match: { header: { name: 'x-stress', present: true } } },
    });
    app.run(10, CALM);
    app.run(3, SURGE);
    expect(app.instance.arrive('/a', [['x-stress', '1']]).clientResponse).toMatchObject({
      status: 429,
      details: 'causeway_adaptive_rate_limit_stress',
    });
    expect(app.instance.arrive('/a', [[CLASS, '9']]).clientResponse).toBeUndefined();
  });

  it('comes back when the instance is calm again', () => {
    app = new Application(ADAPTIVE);
    app.run(10, CALM);
    app.run(5, SURGE);
    app.run(14, CALM);
    app.run(2, CALM, [[CLASS, '9']]);
    expect(app.share('/a')).toBe(1);
  });
});

describe('class 0', () => {
  it('passes every limit', () => {
    app = new Application(ADAPTIVE);
    app.run(10, CALM);
    app.run(3, SURGE);
    app.run(3, { '/a': 20, '/b': 20, '/c': 30 }, [[CLASS, '0']]);
    expect(app.share('/c')).toBe(1);

    app = new Application({ perSecond: 10, hotspots: [{ name: 'user', by: { header: 'x-user' }, perSecond: 5 }] });
    app.run(2, { '/': 100 }, [
      [CLASS, '0'],
      ['x-user', 'ann'],
    ]);
    expect(app.share('/')).toBe(1);
    expect(app.instance.metrics()).toEqual({});
    app.run(4, { '/': 100 });
    expect(app.share('/') * 400).toBeGreaterThan(35);
  });
});

describe('a change in mid-overload', () => {
  beforeEach(() => {
    app = new Application(ADAPTIVE, 2);
    app.run(10, CALM);
    app.run(5, SURGE);
    expect(app.limit('c')).toBeGreaterThan(0);
  });

  it('of the leader’s VM leaves the limits as they are', () => {
    app.instance.vm.root.shutdown();
    app.instance.workers[0] = app.instance.worker();
    app.run(4, SURGE);
    expect(app.share('/c')).toBeLessThan(0.7);
    expect(app.share('/a')).toBe(1);
    app.run(14, CALM);
    expect(app.limit('c')).toBe(0);
  });

  it('of the configuration starts anew with nothing stuck', () => {
    const other = { ...ADAPTIVE, adaptive: { after: 2 } };
    for (const vm of app.instance.workers) expect(vm.reconfigure(other).configured).toBe(true);
    app.run(14, CALM);
    expect(app.share('/c')).toBe(1);
    app.run(10, SURGE);
    expect(app.share('/c')).toBeLessThan(0.8);
    expect(app.share('/a')).toBe(1);
  });
});

describe('a bad report', () => {
  it.each([
    ['a negative T2', 'x-queue-ms', '-5'],
    ['no number', 'x-queue-ms', 'NaN'],
    ['an infinite T2', 'x-queue-ms', 'inf'],
    ['an absurd T2', 'x-queue-ms', `1e308`],
    ['a T2 above a day', 'x-queue-ms', '86400001'],
    ['a list', 'x-queue-ms', '1,2'],
    ['61 kB', 'x-queue-ms', '9'.repeat(61_000)],
    ['a signal that is no number', 'x-load', 'high'],
    ['a negative signal', 'x-load', '-1'],
  ])('%s is counted, and moves nothing', (_what, name, value) => {
    app = new Application({ ...ADAPTIVE, adaptive: { after: 1, signal: { header: 'x-load', threshold: 1 } } });
    app.report = () => [[name, value]];
    app.run(5, CALM);
    const metrics = app.instance.metrics();
    expect(metrics.invalid_report).toBeGreaterThan(0);
    expect(metrics.level_permille ?? 0).toBe(0);
    expect(app.share('/c')).toBe(1);
  });
});
