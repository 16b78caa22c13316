import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { EmulatedHost, type HeaderList, type Properties, type Vm } from '../emulator/index.ts';
import { compilePlugin } from '../support/compile-plugin.ts';

const COUNTER = 'causeway_isolation_';
const IDENTITY = 'connection.uri_san_peer_certificate';
const DEBUGGER = 'spiffe://mesh/debugger';
const TICK = 100;

let module: Uint8Array<ArrayBuffer>;

beforeAll(async () => {
  module = new Uint8Array(await readFile(await compilePlugin('filters/suite.ts')));
}, 300_000);

type Section = Record<string, unknown>;

interface Said {
  status: number;
  isolated: string | undefined;
  ejects: string | undefined;
  details: string;
}

/** One worker of one instance's proxy; workers share a host. */
class Worker {
  readonly host: EmulatedHost;
  readonly vm: Vm;
  private readonly alone: boolean;

  constructor(section: Section = {}, host = new EmulatedHost(module), alone = true) {
    this.host = host;
    this.alone = alone;
    this.vm = host.vm({
      rootId: alone ? 'isolation' : 'causeway',
      vmConfiguration: 'inbound',
      configuration: this.configuration(section),
    });
    expect(this.vm.configured, host.messages().join('\n')).toBe(true);
  }

  private configuration(section: Section): Section {
    const own = { direction: 'inbound', ...section };
    return this.alone ? own : { isolation: own, 'overload-shedding': { direction: 'inbound' } };
  }

  configure(section: Section): boolean {
    return this.vm.reconfigure(this.configuration(section)).configured;
  }

  /** Null = it was let in. */
  ask(headers: Record<string, string> = {}, properties: Properties = {}): Said | null {
    const requestHeaders: HeaderList = Object.entries(headers);
    const { clientResponse, localResponseSent } = this.vm.exchange({ requestHeaders, properties });
    if (localResponseSent === undefined) return null;
    const map = clientResponse?.headers;
    return {
      status: clientResponse?.status ?? 0,
      isolated: map?.get('x-causeway-isolated'),
      ejects: map?.get('x-envoy-immediate-health-check-fail'),
      details: clientResponse?.details ?? '',
    };
  }

  tick(times = 1): void {
    this.host.clock.advance(times * TICK);
  }

  counted(): Record<string, number> {
    this.tick(10);
    const own = Object.entries(this.host.metrics.nonZero()).filter(([name]) => name.startsWith(COUNTER));
    return Object.fromEntries(own.map(([name, value]) => [name.slice(COUNTER.length), value]));
  }

  order(path: string, edas = false): number | undefined {
    const control = this.vm.addPlugin({ rootId: 'isolation', configuration: { direction: 'control', edas } });
    const stream = this.vm.httpStream({ root: control, requestHeaders: [[':path', path]] });
    stream.requestHeaders();
    const { clientResponse } = stream;
    stream.end();
    return clientResponse?.status;
  }
}

const ALL: Said = { status: 503, isolated: '1', ejects: 'true', details: 'causeway_isolation_isolated' };
const MALLORY = { rules: [{ name: 'm', match: { header: { name: 'end-user', exact: 'mallory' } } }] };

describe.each([
  ['alone', true],
  ['in the suite', false],
] as const)('isolated, %s', (_where, alone) => {
  it('keeps every request out, and says so for the caller’s retry and its health checks', () => {
    const worker = new Worker({ isolated: true }, new EmulatedHost(module), alone);
    expect(worker.ask()).toEqual(ALL);
    expect(worker.ask({ ':method': 'POST', ':path': '/orders' })).toEqual(ALL);
    expect(worker.ask({ ':path': '/health' })).toEqual(ALL);
    expect(worker.counted()).toEqual({ 'refused_total.reason.isolated': 2, checks_refused_total: 1, state: 1 });
  });

  it('lets everything in when nothing is said, and again after its release', () => {
    const worker = new Worker({}, new EmulatedHost(module), alone);
    expect(worker.ask()).toBeNull();
    expect(worker.configure({ isolated: true })).toBe(true);
    expect(worker.ask()).toEqual(ALL);
    expect(worker.configure({})).toBe(true);
    expect(worker.ask()).toBeNull();
    expect(worker.counted()).toEqual({ 'refused_total.reason.isolated': 1 });
  });

  it('goes on with what it had when a configuration is refused', () => {
    const worker = new Worker({ isolated: true }, new EmulatedHost(module), alone);
    expect(worker.configure({ isolated: 'no' })).toBe(false);
    expect(worker.ask()).toEqual(ALL);
  });
});

describe('rules', () => {
  it('keep matching requests out without taking the host out, and leave health checks alone', () => {
    const worker = new Worker(MALLORY);
    const kept = { status: 503, isolated: '1', ejects: undefined, details: 'causeway_isolation_rule' };
    expect(worker.ask({ 'end-user': 'mallory' })).toEqual(kept);
    expect(worker.ask({ 'end-user': 'jason' })).toBeNull();
    expect(worker.ask({ 'end-user': 'mallory', ':path': '/health?x=1' })).toBeNull();
    expect(worker.counted()).toEqual({ 'refused_total.reason.rule': 1 });
  });

  it('have the health checks’ path from the configuration', () => {
    const worker = new Worker({ ...MALLORY, healthPath: '/ok' });
    expect(worker.ask({ 'end-user': 'mallory', ':path': '/ok' })).toBeNull();
    expect(worker.ask({ 'end-user': 'mallory', ':path': '/health' })?.status).toBe(503);
  });
});

describe('gRPC', () => {
  it('is answered UNAVAILABLE', () => {
    const worker = new Worker({ isolated: true });
    const { localResponseSent } = worker.vm.exchange({ requestHeaders: [['content-type', 'application/grpc']] });
    expect(localResponseSent?.grpcStatus).toBe(14);
  });
});

describe('diagnosis', () => {
  const section = { isolated: true, identities: [DEBUGGER] };

  it('is for configured identities alone, and no header stands for one', () => {
    const worker = new Worker(section);
    expect(worker.ask({}, { [IDENTITY]: DEBUGGER })).toBeNull();
    expect(worker.ask({}, { [IDENTITY]: 'spiffe://mesh/other' })).toEqual(ALL);
    expect(worker.ask({ 'x-forwarded-client-cert': `URI=${DEBUGGER}`, 'x-causeway-isolated': '0' })).toEqual(ALL);
    expect(worker.counted()).toMatchObject({ diagnosis_total: 1, 'refused_total.reason.isolated': 2 });
  });

  it('is not ended by the drain', () => {
    const worker = new Worker({ ...section, drainSeconds: 0 });
    const stream = worker.vm.httpStream({ properties: { [IDENTITY]: DEBUGGER } });
    stream.requestHeaders();
    worker.tick(5);
    expect(stream.over).toBe(false);
    stream.end();
  });
});

describe('requests that flow', () => {
  const flowing = (worker: Worker, count: number) =>
    Array.from({ length: count }, () => {
      const stream = worker.vm.httpStream({});
      stream.requestHeaders();
      return stream;
    });

  it('have their time, then they are reset and counted, those of the configuration before too', () => {
    const worker = new Worker();
    const streams = flowing(worker, 3);
    streams[1]?.responseHeaders([[':status', '200']], { endOfStream: false });
    streams.pop()?.end();
    worker.configure({ isolated: true, drainSeconds: 2 });
    worker.tick(19);
    expect(streams.some(({ over }) => over)).toBe(false);
    worker.tick(2);
    expect(streams.every(({ over }) => over)).toBe(true);
    expect(worker.counted()).toMatchObject({ reset_total: 2 });
    expect(worker.ask()).toEqual(ALL);
  });

  it('are left alone when the instance is released in time, and by rules', () => {
    const worker = new Worker();
    const streams = flowing(worker, 2);
    worker.configure({ isolated: true, drainSeconds: 1 });
    worker.tick(5);
    worker.configure({ drainSeconds: 1 });
    worker.tick(20);
    worker.configure({ ...MALLORY, drainSeconds: 0 });
    worker.tick(20);
    expect(streams.some(({ over }) => over)).toBe(false);
    for (const stream of streams) stream.end();
    expect(worker.counted()).toEqual({});
  });

  it('are many: some of them with every tick', () => {
    const worker = new Worker();
    const streams = flowing(worker, 150);
    worker.configure({ isolated: true, drainSeconds: 0 });
    worker.tick(1);
    expect(streams.filter(({ over }) => over)).toHaveLength(64);
    worker.tick(2);
    expect(streams.every(({ over }) => over)).toBe(true);
  });
});

describe('offline', () => {
  it('is told on the control listener, holds at once for that worker and a tick later for the others', () => {
    const host = new EmulatedHost(module);
    const [one, other] = [new Worker({ drainSeconds: 1 }, host), new Worker({ drainSeconds: 1 }, host)];
    expect(one.ask()).toBeNull();
    expect(one.order('/causeway/offline')).toBe(200);
    for (const worker of [one, other]) worker.tick();
    for (const worker of [one, other]) expect(worker.ask()).toEqual({ ...ALL, details: 'causeway_isolation_offline' });
    expect(one.order('/causeway/online')).toBe(200);
    for (const worker of [one, other]) worker.tick();
    for (const worker of [one, other]) expect(worker.ask()).toBeNull();
  });

  it('outlives a configuration, and is known to a worker that starts later', () => {
    const host = new EmulatedHost(module);
    const worker = new Worker({}, host);
    worker.order('/causeway/offline');
    worker.tick();
    worker.configure({ drainSeconds: 5 });
    expect(worker.ask()?.details).toBe('causeway_isolation_offline');
    expect(new Worker({}, host).ask()?.details).toBe('causeway_isolation_offline');
  });

  it('has the paths of EDAS where that is configured, and everything else goes to the application', () => {
    const worker = new Worker();
    expect(worker.order('/offline')).toBeUndefined();
    expect(worker.order('/causeway/offlines')).toBeUndefined();
    expect(worker.order('/api')).toBeUndefined();
    worker.tick();
    expect(worker.ask()).toBeNull();
    expect(worker.order('/offline', true)).toBe(200);
    worker.tick();
    expect(worker.ask()?.status).toBe(503);
    expect(worker.order('/online?x', true)).toBe(200);
  });

  it('cannot be told where calls come in', () => {
    const worker = new Worker();
    expect(worker.ask({ ':path': '/causeway/offline' })).toBeNull();
    worker.tick();
    expect(worker.ask()).toBeNull();
  });
});

describe('a start', () => {
  it('lets nothing in before its delay is over, which a new configuration does not start anew', () => {
    const worker = new Worker({ delaySeconds: 2 });
    expect(worker.ask()).toEqual({ ...ALL, details: 'causeway_isolation_starting' });
    worker.tick(10);
    worker.configure({ delaySeconds: 2, drainSeconds: 1 });
    expect(worker.ask()?.status).toBe(503);
    worker.tick(11);
    expect(worker.ask()).toBeNull();
  });
});

describe('host calls', () => {
  const [get, send, property] = [
    'proxy_get_header_map_pairs',
    'proxy_send_local_response',
    'proxy_get_property',
  ] as const;

  function calls(section: Section, headers: Record<string, string> = {}): string[] {
    const worker = new Worker(section);
    worker.ask(headers);
    worker.host.calls.reset();
    worker.ask(headers);
    return worker.host.calls.records().map(({ name }) => name);
  }

  it('are those that the README states', () => {
    expect(calls({})).toEqual([]);
    expect(calls(MALLORY)).toEqual([get]);
    expect(calls(MALLORY, { 'end-user': 'mallory' })).toEqual([get, send]);
    expect(calls({ isolated: true })).toEqual([get, send]);
    expect(calls({ isolated: true, identities: [DEBUGGER] })).toEqual([get, property, property, send]);
  });

  it('of a tick are two', () => {
    const worker = new Worker();
    worker.tick(2);
    worker.host.calls.reset();
    worker.tick();
    expect(worker.host.calls.records().map(({ name }) => name)).toEqual([
      'proxy_get_current_time_nanoseconds',
      'proxy_get_shared_data',
    ]);
  });
});
