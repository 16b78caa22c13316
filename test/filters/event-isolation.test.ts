import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { EmulatedHost, type TcpStream, type Vm } from '../emulator/index.ts';
import { compilePlugin } from '../support/compile-plugin.ts';

const COUNTER = 'causeway_event_isolation_';
const TICK = 100;

let module: Uint8Array<ArrayBuffer>;

beforeAll(async () => {
  module = new Uint8Array(await readFile(await compilePlugin('filters/suite.ts')));
}, 300_000);

function worker(configuration: object = {}, host = new EmulatedHost(module)): { host: EmulatedHost; vm: Vm } {
  const vm = host.vm({ rootId: 'event-isolation', vmConfiguration: 'network', configuration });
  expect(vm.configured, host.messages().join('\n')).toBe(true);
  return { host, vm };
}

function connect(vm: Vm): TcpStream {
  const stream = vm.tcpStream({});
  stream.open();
  return stream;
}

function counted(host: EmulatedHost): Record<string, number> {
  host.clock.advance(10 * TICK);
  const own = Object.entries(host.metrics.nonZero()).filter(([name]) => name.startsWith(COUNTER));
  return Object.fromEntries(own.map(([name, value]) => [name.slice(COUNTER.length), value]));
}

const isClosed = (stream: TcpStream) => stream.closedBy !== undefined;

describe('connections to the broker', () => {
  it('are left alone while the instance is open', () => {
    const { host, vm } = worker();
    const streams = [connect(vm), connect(vm)];
    host.clock.advance(20 * TICK);
    expect(streams.some(isClosed)).toBe(false);
    expect(counted(host)).toEqual({ connections: 2 });
  });

  it('are closed when it is isolated, those of the configuration before too, and new ones refused', () => {
    const { host, vm } = worker();
    const streams = [connect(vm), connect(vm)];
    expect(vm.reconfigure({ isolated: true }).configured).toBe(true);
    host.clock.advance(TICK);
    expect(streams.every(isClosed)).toBe(true);
    expect(isClosed(connect(vm))).toBe(true);
    expect(counted(host)).toEqual({ closed_total: 2, refused_total: 1 });
    expect(vm.reconfigure({}).configured).toBe(true);
    expect(isClosed(connect(vm))).toBe(false);
  });

  it('are closed when it goes offline, which the HTTP side is told', () => {
    const { host, vm } = worker();
    const inbound = host.vm({
      rootId: 'isolation',
      vmConfiguration: 'inbound',
      configuration: { direction: 'control' },
    });
    const stream = connect(vm);
    inbound.exchange({ requestHeaders: [[':path', '/causeway/offline']] });
    host.clock.advance(TICK);
    expect(isClosed(stream)).toBe(true);
    expect(isClosed(connect(vm))).toBe(true);
    inbound.exchange({ requestHeaders: [[':path', '/causeway/online']] });
    host.clock.advance(TICK);
    expect(isClosed(connect(vm))).toBe(false);
  });

  it('are many: some of them with every tick', () => {
    const { host, vm } = worker();
    const streams = Array.from({ length: 100 }, () => connect(vm));
    vm.reconfigure({ isolated: true });
    host.clock.advance(TICK);
    expect(streams.filter(isClosed)).toHaveLength(64);
    host.clock.advance(TICK);
    expect(streams.every(isClosed)).toBe(true);
  });

  it('go on as they were when a configuration is refused', () => {
    const { host, vm } = worker();
    const stream = connect(vm);
    expect(vm.reconfigure({ isolated: 1 }).configured).toBe(false);
    host.clock.advance(5 * TICK);
    expect(isClosed(stream)).toBe(false);
  });
});

describe('host calls', () => {
  it('are those that the README states', () => {
    const { host, vm } = worker();
    connect(vm);
    host.clock.advance(2 * TICK);
    host.calls.reset();
    const stream = connect(vm);
    expect(host.calls.records()).toEqual([]);
    host.clock.advance(TICK);
    expect(host.calls.records().map(({ name }) => name)).toEqual(['proxy_get_shared_data']);
    host.calls.reset();
    stream.downstreamData('bytes');
    expect(host.calls.records()).toEqual([]);
  });
});
