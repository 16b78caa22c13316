import { readFile } from 'node:fs/promises';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { compilePlugin } from '../support/compile-plugin.ts';
import { CLASS, hostCalls, Instance, SHED } from './overloaded-instance.ts';

let module: Uint8Array<ArrayBuffer>;
let app: Instance;

function use(options: Record<string, unknown> = {}): void {
  app = new Instance(module, options);
}

beforeAll(async () => {
  module = new Uint8Array(await readFile(await compilePlugin('filters/suite.ts')));
});

beforeEach(() => use());

describe('a calm instance', () => {
  it('refuses nothing, and looks at nothing of a request', () => {
    app.warmUp();
    const stream = app.arrive({ [CLASS]: '9' });
    expect(hostCalls(stream)).toEqual(['get_current_time_nanoseconds']);
    app.answer(stream, { 'x-queue-ms': '0' });
    expect(hostCalls(stream, 'proxy_on_log')).toEqual(['get_current_time_nanoseconds', 'get_header_map_pairs']);
    expect(app.counted()).toMatchObject({ admitted: app.sent });
    expect(app.gauges()).toMatchObject({ level_percent: 0, queue_microseconds: 0 });
  });

  it('costs 3 calls where T2 is inferred as well', () => {
    use({ queueTime: 'none' });
    app.warmUp();
    const stream = app.arrive();
    app.answer(stream);
    expect(hostCalls(stream)).toEqual(['get_current_time_nanoseconds']);
    expect(hostCalls(stream, 'proxy_on_log')).toEqual(['get_current_time_nanoseconds', 'get_header_map_pairs']);
  });

  it('costs no call more where the application sends no report', () => {
    app.warmUp({});
    const stream = app.arrive();
    app.answer(stream);
    expect(hostCalls(stream, 'proxy_on_log')).toEqual(['get_current_time_nanoseconds', 'get_header_map_pairs']);
  });
});

describe('streams', () => {
  const tunnel = () => app.arrive({ connection: 'Upgrade', upgrade: 'websocket' }, app.vm, false);

  it('tunnels are let in like requests, and then held by nobody', () => {
    app.warmUp();
    const tunnels = Array.from({ length: 200 }, tunnel);
    expect(tunnels.filter(({ clientResponse }) => clientResponse !== undefined)).toEqual([]);
    app.host.clock.advance(1_000);
    expect(app.gauges()).toMatchObject({ in_flight: 0, level_percent: 0 });
    for (const one of tunnels) app.answer(one, {}, '101');
    app.host.clock.advance(1_000);
    expect(app.gauges()).toMatchObject({ in_flight: 0, level_percent: 0 });
  });

  it('tunnels are refused like requests while the instance is hot', () => {
    app.warmUp();
    app.flood();
    expect(tunnel().clientResponse?.status).toBe(503);
  });

  it('a request with a body costs one call more', () => {
    app.warmUp();
    const stream = app.arrive({}, app.vm, false);
    expect(hostCalls(stream)).toEqual(['get_current_time_nanoseconds', 'get_header_map_pairs']);
  });

  it('what has been open for 16 s is counted no longer, and its end says nothing', () => {
    app.warmUp();
    const open = Array.from({ length: 10 }, () => app.arrive());
    app.host.clock.advance(10_000);
    expect(app.gauges()).toMatchObject({ in_flight: 10 });
    app.host.clock.advance(7_000);
    expect(app.gauges()).toMatchObject({ in_flight: 0 });
    for (const stream of open) app.answer(stream, { 'x-queue-ms': '9000' });
    app.warmUp();
    expect(app.gauges()).toMatchObject({ in_flight: 0, queue_microseconds: 0, level_percent: 0 });
  });
});

describe('a refusal', () => {
  beforeEach(() => {
    app.warmUp();
    app.flood();
  });

  it('has the status and the headers that callers understand', () => {
    const { clientResponse } = app.arrive();
    expect(clientResponse?.status).toBe(503);
    expect(clientResponse?.details).toBe('causeway_overload_shedding_refused');
    expect(clientResponse?.headers.get(SHED)).toMatch(/^[0-9]+$/);
    expect(clientResponse?.headers.get('retry-after')).toBe('1');
    expect(clientResponse?.headers.get('x-envoy-ratelimited')).toBe('true');
    expect(app.counted()['refused.class.5']).toBeGreaterThan(0);
  });

  it('is RESOURCE_EXHAUSTED for gRPC', () => {
    const { clientResponse } = app.arrive({ 'content-type': 'application/grpc' });
    expect(clientResponse?.status).toBe(200);
    expect(clientResponse?.headers.get('grpc-status')).toBe('8');
    expect(clientResponse?.headers.get(SHED)).toMatch(/^[0-9]+$/);
  });

  it('costs 4 calls', () => {
    const stream = app.arrive();
    expect(stream.clientResponse?.status).toBe(503);
    expect(hostCalls(stream)).toEqual(['get_current_time_nanoseconds', 'get_header_map_pairs', 'send_local_response']);
    stream.end();
    expect(hostCalls(stream, 'proxy_on_log')).toEqual([]);
  });

  it('never meets class 0', () => {
    for (let i = 0; i < 50; i++) expect(app.arrive({ [CLASS]: '0' }).clientResponse).toBeUndefined();
  });

  it('meets what is less important first', () => {
    use();
    app.warmUpTo400();
    app.flood();
    // Between the caps of the two classes: 13 and 19 at 400 requests of 10 ms.
    app.answerOldest(app.inFlight - 16, 0);
    expect(app.arrive({ [CLASS]: '5' }).clientResponse?.status).toBe(503);
    expect(app.arrive({ [CLASS]: '1' }).clientResponse).toBeUndefined();
  });

  it('ends when the load does', () => {
    app.answerAll();
    for (let i = 0; i < 20; i++) {
      app.host.clock.advance(100);
      app.answer(app.arrive(), { 'x-queue-ms': '0' });
    }
    expect(app.gauges().level_percent).toBe(0);
    const stream = app.arrive({ [CLASS]: '9' });
    expect(hostCalls(stream), 'calm again').toEqual(['get_current_time_nanoseconds']);
  });
});

it('status and retry-after are configured', () => {
  use({ status: 429, retryAfterSeconds: 0 });
  app.warmUp();
  app.flood();
  const { clientResponse } = app.arrive();
  expect(clientResponse?.status).toBe(429);
  expect(clientResponse?.headers.has('retry-after')).toBe(false);
});

describe('host calls of a hot instance', () => {
  it('are 5 for a request that is admitted', () => {
    app.warmUp();
    app.flood();
    app.answerAll();
    app.host.clock.advance(100);
    const stream = app.arrive();
    expect(stream.clientResponse).toBeUndefined();
    app.answer(stream, { 'x-queue-ms': '1' });
    const all = [...hostCalls(stream), ...hostCalls(stream, 'proxy_on_log')];
    expect(all.length).toBeLessThanOrEqual(5);
    expect(all).toContain('get_header_map_pairs');
  });
});

describe('workers', () => {
  it('share one cap', () => {
    app.warmUp();
    const second = app.worker();
    app.exchange({}, second);
    // Both have told each other of themselves.
    app.host.clock.advance(300);
    app.flood();
    app.host.clock.advance(100);
    expect(app.arrive({}, second).clientResponse?.status).toBe(503);
  });

  it('forget one that is gone', () => {
    app.warmUp();
    const second = app.worker();
    app.exchange({}, second);
    app.host.clock.advance(300);
    for (let i = 0; i < 30; i++) app.arrive({ [CLASS]: '0' }, second);
    second.shutdown();
    app.host.clock.advance(1000);
    expect(app.gauges().in_flight).toBe(0);
  });
});

describe('state', () => {
  it('outlives a change of configuration in mid-overload, and nothing sticks', () => {
    app.warmUp();
    app.flood();
    expect(app.vm.reconfigure({ direction: 'inbound', targetMs: 20 }).configured).toBe(true);
    expect(app.arrive().clientResponse?.status, 'still hot').toBe(503);
    app.answerAll();
    app.host.clock.advance(3000);
    for (let i = 0; i < 10; i++) app.exchange();
    expect(app.arrive().clientResponse).toBeUndefined();
    app.host.clock.advance(1000);
    expect(app.gauges()).toMatchObject({ level_percent: 0, in_flight: 1 });
  });

  it('counts a request that is reset once, as a ghost for a second', () => {
    app.warmUp();
    const stream = app.arrive();
    stream.reset();
    stream.end();
    app.host.clock.advance(500);
    expect(app.gauges().in_flight, 'the application goes on with it').toBe(1);
    app.host.clock.advance(1500);
    expect(app.gauges().in_flight).toBe(0);
  });
});
