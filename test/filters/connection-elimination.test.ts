import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { EmulatedHost, type HeaderList, type Properties, type Vm } from '../emulator/index.ts';
import { compilePlugin } from '../support/compile-plugin.ts';

const TOKEN = 'x-causeway-tls';
const COUNTER = 'causeway_connection_elimination_';
const SECOND = 1_000;

let module: Uint8Array<ArrayBuffer>;

beforeAll(async () => {
  module = new Uint8Array(await readFile(await compilePlugin('filters/suite.ts')));
}, 300_000);

const service = (fields: object) => ({ name: 'reviews', authorities: ['reviews', 'reviews:9080'], ...fields });

/** What Envoy knows of the upstream connection when a request ends. */
const TLS: Properties = { 'upstream.tls_version': 'TLSv1.3', 'upstream.local_address': '127.0.0.1:5' };
const PLAIN: Properties = { 'upstream.local_address': '127.0.0.1:5' };
const HANDSHAKE_FAILED: Properties = {
  'upstream.transport_failure_reason':
    'TLS_error:|268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end',
};
const REFUSED: Properties = { 'upstream.transport_failure_reason': 'delayed connect error: Connection refused' };

type Section = Record<string, unknown>;

/** One worker of one proxy; workers share a host. */
class Worker {
  readonly host: EmulatedHost;
  readonly vm: Vm;

  constructor(section: Section, host = new EmulatedHost(module), alone = true) {
    this.host = host;
    const configuration = { direction: 'outbound', ...section };
    this.vm = host.vm(
      alone
        ? { rootId: 'connection-elimination', configuration }
        : {
            rootId: 'causeway',
            vmConfiguration: 'outbound',
            configuration: { 'connection-elimination': configuration },
          },
    );
  }

  /** A whole exchange; true when it was sent with the token. */
  call(upstream: Properties = TLS, headers: Record<string, string> = {}): boolean {
    const requestHeaders: HeaderList = Object.entries({ ':authority': 'reviews:9080', ...headers });
    const sent = this.vm.exchange({ requestHeaders, properties: upstream }).requestHeaderMap;
    const token = sent.get(TOKEN);
    expect(token === undefined || token === '1', token).toBe(true);
    return token === '1';
  }

  counted(): Record<string, number> {
    this.vm.root.tick();
    const own = Object.entries(this.host.metrics.nonZero()).filter(([name]) => name.startsWith(COUNTER));
    return Object.fromEntries(own.map(([name, value]) => [name.slice(COUNTER.length), value]));
  }
}

const trace = (n: number) => ({ 'x-request-id': `trace-${n}` });

describe('the token', () => {
  it('is set at `on`, and not at `off`, nor for a stranger', () => {
    expect(new Worker({ services: [service({ mode: 'on' })] }).call()).toBe(true);
    const off = new Worker({ services: [service({ mode: 'off' })] });
    expect(off.call(PLAIN)).toBe(false);
    const on = new Worker({ services: [service({ mode: 'on' })] });
    expect(on.call(PLAIN, { ':authority': 'elsewhere' })).toBe(false);
    expect(on.call(TLS, { ':authority': 'REVIEWS' })).toBe(true);
    expect(on.counted()).toEqual({ 'requests_total.result.tls.service.reviews': 1 });
  });

  it('takes the place of whatever is there, so that a forged one leaves nobody in plaintext', () => {
    const worker = new Worker({ services: [service({ mode: 'on' })] });
    for (const forged of ['0', '', '1, 1', 'no']) expect(worker.call(TLS, { [TOKEN]: forged }), forged).toBe(true);
  });

  it('is set for the share of a canary, sticky by trace, the same in every worker', () => {
    const section = { services: [service({ mode: 'canary', percent: 20 })] };
    const [one, other] = [new Worker(section), new Worker(section)];
    let drawn = 0;
    for (let n = 0; n < 2000; n++) {
      const tls = one.call({}, trace(n));
      if (n % 20 === 0) expect(other.call({}, trace(n))).toBe(tls);
      if (tls) drawn++;
    }
    expect(drawn).toBeGreaterThan(320);
    expect(drawn).toBeLessThan(480);
    expect(one.call({}), 'without a trace id').toBe(false);
  });

  it('draws by the configured trace header', () => {
    const worker = new Worker({
      services: [service({ mode: 'canary', percent: 50 })],
      sources: [{ header: 'X-Trace' }],
    });
    const drawn = Array.from({ length: 200 }, (_, n) => worker.call({}, { 'x-trace': `t${n}` })).filter(Boolean);
    expect(drawn.length).toBeGreaterThan(60);
    expect(drawn.length).toBeLessThan(140);
    expect(worker.call({}, trace(1))).toBe(false);
  });

  it('follows the gateway’s routes, the longest prefix first', () => {
    const worker = new Worker({
      direction: 'gateway',
      services: [
        { name: 'page', prefixes: ['/'], mode: 'off' },
        { name: 'api', prefixes: ['/api/', '/static/api'], mode: 'on' },
        { name: 'old', prefixes: ['/api/v1/'], mode: 'off' },
      ],
    });
    const at = (path: string) => worker.call({}, { ':authority': 'anything', ':path': path });
    expect(['/', '/ap', '/api/', '/api/v2/x', '/api/v1/x', '/static/api?x'].map(at)).toEqual([
      false,
      false,
      true,
      true,
      false,
      true,
    ]);
  });

  it('is not set for a cluster that serves both states', () => {
    expect(new Worker({ services: [service({ mode: 'on', pools: 'one' })] }).call()).toBe(false);
  });
});

describe('the actual state', () => {
  it('is counted, and where it is not the expected one, as a mismatch', () => {
    const worker = new Worker({ services: [service({ mode: 'on' })] });
    worker.call(TLS);
    worker.call(PLAIN);
    worker.call(REFUSED);
    worker.call({});
    expect(worker.counted()).toEqual({
      'requests_total.result.tls.service.reviews': 1,
      'requests_total.result.plain.service.reviews': 1,
      'mismatch_total.service.reviews': 1,
    });
    const off = new Worker({ services: [service({ mode: 'off' })] });
    off.call(PLAIN);
    off.call(TLS);
    expect(off.counted()).toEqual({
      'requests_total.result.plain.service.reviews': 1,
      'requests_total.result.tls.service.reviews': 1,
      'mismatch_total.service.reviews': 1,
    });
  });

  it('is held against the host’s metadata where one cluster serves both', () => {
    const worker = new Worker({ services: [service({ pools: 'one' })] });
    const host = (tls: string): Properties => ({
      'xds.upstream_host_metadata': { filter_metadata: { 'envoy.transport_socket_match': { tls } } },
    });
    worker.call({ ...TLS, ...host('1') });
    worker.call({ ...PLAIN, ...host('0') });
    worker.call({ ...PLAIN });
    worker.call({ ...PLAIN, ...host('1') });
    expect(worker.counted()).toEqual({
      'requests_total.result.tls.service.reviews': 1,
      'requests_total.result.plain.service.reviews': 3,
      'mismatch_total.service.reviews': 1,
    });
  });
});

describe('the way back to plain', () => {
  const canary = { services: [service({ mode: 'canary', percent: 100 })] };

  it('is taken by a canary whose handshake fails, for 30 s, and counted loudly', () => {
    const worker = new Worker(canary);
    expect(worker.call(HANDSHAKE_FAILED)).toBe(true);
    expect(worker.call(PLAIN)).toBe(false);
    expect(worker.call(PLAIN)).toBe(false);
    expect(worker.counted()).toEqual({
      'handshake_failed_total.service.reviews': 1,
      'returned_total.service.reviews': 2,
      'requests_total.result.plain.service.reviews': 2,
    });
    expect(worker.host.messages().join('\n')).toMatch(/the canary of reviews goes back to plain/);
    worker.host.clock.advance(30 * SECOND);
    expect(worker.call(HANDSHAKE_FAILED), 'tries again').toBe(true);
    expect(worker.call(PLAIN)).toBe(false);
  });

  it('is not taken for a host that is merely down', () => {
    const worker = new Worker(canary);
    for (const cause of [REFUSED, {}]) expect(worker.call(cause)).toBe(true);
    expect(worker.call(TLS)).toBe(true);
    expect(worker.counted()).toEqual({ 'requests_total.result.tls.service.reviews': 1 });
  });

  it('is closed for good once a host has completed TLS, also in other workers, reloads and configurations', () => {
    const host = new EmulatedHost(module);
    const [one, other] = [new Worker(canary, host), new Worker(canary, host)];
    expect(one.call(TLS)).toBe(true);
    expect(other.call(HANDSHAKE_FAILED), 'has not ticked yet').toBe(true);
    expect(other.call(HANDSHAKE_FAILED)).toBe(true);
    other.vm.reconfigure({ direction: 'outbound', ...canary });
    expect(other.call(HANDSHAKE_FAILED)).toBe(true);
    expect(other.call(TLS)).toBe(true);
    const reloaded = new Worker(canary, host);
    for (let n = 0; n < 5; n++) expect(reloaded.call(HANDSHAKE_FAILED)).toBe(true);
    expect(reloaded.counted()['returned_total.service.reviews']).toBeUndefined();
  });

  it('is taken by all workers within a tick, and left by all of them when one completes TLS', () => {
    const host = new EmulatedHost(module);
    const [one, other] = [new Worker(canary, host), new Worker(canary, host)];
    one.call(HANDSHAKE_FAILED);
    other.vm.root.tick();
    expect(other.call(PLAIN)).toBe(false);
    new Worker({ services: [service({ mode: 'on' })] }, host).call(TLS);
    one.vm.root.tick();
    other.vm.root.tick();
    expect([one.call(TLS), other.call(TLS)]).toEqual([true, true]);
  });

  it('does not exist at `on`: whoever breaks every handshake gets no plaintext', () => {
    const worker = new Worker({ services: [service({ mode: 'on' })] });
    for (let n = 0; n < 200; n++) {
      expect(worker.call(HANDSHAKE_FAILED)).toBe(true);
      if (n % 50 === 0) worker.host.clock.advance(SECOND);
      if (n % 50 === 0) worker.vm.root.tick();
    }
    expect(worker.counted()).toEqual({ 'handshake_failed_total.service.reviews': 200 });
  });

  it('can be switched off', () => {
    const worker = new Worker({ ...canary, returnSeconds: 0 });
    for (let n = 0; n < 3; n++) expect(worker.call(HANDSHAKE_FAILED)).toBe(true);
  });

  it('belongs to one service alone', () => {
    const worker = new Worker({
      services: [...canary.services, { name: 'ratings', authorities: ['ratings'], mode: 'canary', percent: 100 }],
    });
    worker.call(HANDSHAKE_FAILED);
    expect(worker.call(TLS, { ':authority': 'ratings' })).toBe(true);
    expect(worker.call(HANDSHAKE_FAILED, { ':authority': 'ratings' })).toBe(true);
    expect(worker.call(TLS, { ':authority': 'ratings' })).toBe(true);
    expect(worker.call(PLAIN)).toBe(false);
  });
});

describe('inside a cluster that serves both states', () => {
  const host = (tls: string | undefined): Properties => ({
    'xds.upstream_host_metadata': { filter_metadata: { 'envoy.transport_socket_match': { tls } } },
  });

  it('a pooled connection in the wrong state is closed with its request, a new one is left alone', () => {
    const worker = new Worker({ direction: 'upstream' });
    const closes = (properties: Properties) =>
      worker.vm.exchange({ properties }).requestHeaderMap.get('connection') === 'close';
    expect(closes({ ...host('1'), ...PLAIN })).toBe(true);
    expect(closes({ ...host('0'), ...TLS })).toBe(true);
    expect(closes({ ...host(undefined), ...TLS })).toBe(true);
    expect(closes({ ...host('1'), ...TLS })).toBe(false);
    expect(closes({ ...host('0'), ...PLAIN })).toBe(false);
    expect(closes({ ...host('11'), ...PLAIN }), 'no token of ours').toBe(false);
    expect(closes({ ...host('1') }), 'not connected yet').toBe(false);
    expect(closes({}), 'nothing known').toBe(false);
    expect(worker.counted()).toEqual({ retired_total: 3 });
  });
});

describe('host calls', () => {
  const [get, set, property] = [
    'proxy_get_header_map_pairs',
    'proxy_replace_header_map_value',
    'proxy_get_property',
  ] as const;

  function calls(worker: Worker, upstream: Properties, headers: Record<string, string> = {}): string[] {
    worker.call(upstream, headers);
    worker.host.calls.reset();
    worker.call(upstream, headers);
    return worker.host.calls.records().map(({ name }) => name);
  }

  it('are those that the README states', () => {
    const off = { services: [service({})] };
    const on = { services: [service({ mode: 'on' })] };
    expect(calls(new Worker(off), PLAIN)).toEqual([get, property]);
    expect(calls(new Worker(on), TLS)).toEqual([get, set, property]);
    expect(calls(new Worker(on), {}, { ':authority': 'other' })).toEqual([get]);
    expect(calls(new Worker(on), REFUSED)).toEqual([get, set, property, property, property]);
    const canary = { services: [service({ mode: 'canary', percent: 100 })] };
    expect(calls(new Worker(canary), TLS)).toEqual([get, set, property]);
    const share = new Worker({ services: [service({ mode: 'canary', percent: 50 })] });
    const drawn = Array.from({ length: 50 }, (_, n) => trace(n)).find((id) => share.call(TLS, id));
    expect(calls(share, TLS, drawn)).toEqual([get, set, property]);
    expect(calls(new Worker({ services: [service({ pools: 'one' })] }), PLAIN)).toEqual([get, property, property]);
    const upstream = new Worker({ direction: 'upstream' });
    expect(calls(upstream, PLAIN)).toEqual([property, property]);
  });

  it('of the tick are none for services that are on or off, and none for a canary whose ratchet has caught', () => {
    const ticks = (section: Section, upstream: Properties) => {
      const worker = new Worker(section);
      worker.call(upstream);
      worker.vm.root.tick();
      worker.host.calls.reset();
      worker.vm.root.tick();
      return worker.host.calls.records().filter(({ name }) => name === 'proxy_get_shared_data').length;
    };
    expect(ticks({ services: [service({ mode: 'on' }), { name: 'b', mode: 'off' }] }, TLS)).toBe(0);
    expect(ticks({ services: [service({ mode: 'canary', percent: 100 })] }, TLS)).toBe(0);
    expect(ticks({ services: [service({ mode: 'canary', percent: 100 })] }, REFUSED)).toBe(2);
  });
});

describe('in the fused suite', () => {
  it('it works beside the others', () => {
    const worker = new Worker({ services: [service({ mode: 'on' })] }, new EmulatedHost(module), false);
    expect(worker.call(TLS)).toBe(true);
    expect(worker.counted()).toEqual({ 'requests_total.result.tls.service.reviews': 1 });
  });
});

describe('configuration', () => {
  const refused = (section: Section): string => {
    const worker = new Worker(section);
    expect(worker.vm.configured).toBe(false);
    return worker.host.messages().join('\n');
  };

  it('is refused with path, value and expectation', () => {
    expect(refused({ direction: 'sideways' })).toMatch(/connection-elimination\.direction: found "sideways", expected/);
    expect(refused({ services: [service({ mode: 'maybe' })] })).toMatch(/services\[0\]\.mode: found "maybe"/);
    expect(refused({ services: [service({ percent: 101 })] })).toMatch(/services\[0\]\.percent: found 101/);
    expect(refused({ services: [service({ name: 'a b' })] })).toMatch(/services\[0\]\.name: found "a b"/);
    expect(refused({ returnSeconds: -1 })).toMatch(/returnSeconds: found -1/);
    expect(refused({ cluster: 'x' })).toMatch(/connection-elimination/);
  });

  it('can be replaced again and again without the memory growing', () => {
    const services = Array.from({ length: 200 }, (_, n) => ({
      name: `service-${n}`,
      authorities: [`service-${n}`],
      mode: 'canary',
      percent: 10,
    }));
    const worker = new Worker({ services });
    const size = () => worker.vm.instance.memory.size;
    // The heap doubles once while it finds its shape; a leak would double it again.
    for (let n = 0; n < 300; n++) worker.vm.reconfigure({ direction: 'outbound', services });
    const after = size();
    for (let n = 0; n < 600; n++) worker.vm.reconfigure({ direction: 'outbound', services });
    expect(size()).toBe(after);
  });
});
