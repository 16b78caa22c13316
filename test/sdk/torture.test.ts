import { beforeAll, describe, expect, test } from 'vitest';
import { EmulatedHost, type HttpStream, Status, type Torture, type Vm } from '../emulator/index.ts';
import { compilePlugin } from '../support/compile-plugin.ts';

/** Every byte value that a header can carry. */
const BYTES = Array.from({ length: 256 }, (_, i) => String.fromCharCode(i))
  .filter((c) => !/[\0\r\n]/.test(c))
  .join('');

interface Seen {
  readonly upstream: unknown;
  readonly client: unknown;
  readonly logs: readonly string[];
  readonly metrics: unknown;
}

/** The same traffic through a plugin of one runtime. */
async function traffic(plugin: string, runtime: 'minimal' | 'incremental', torture: Torture | false): Promise<Seen> {
  const module = await compilePlugin(`test/plugins/${plugin}.ts`, { exportRuntime: true, runtime });
  const host = await EmulatedHost.load(module, { strict: false });
  host.foreign.explain('request.path == "/cel" && request.headers["x-lane"].startsWith("dev")', () => true);
  const vm = host.vm({ rootId: plugin, configuration: 'some configuration', torture });
  expect(vm.configured).toBe(true);
  const seen: unknown[] = [];
  const client: unknown[] = [];
  for (let i = 0; i < 30; i++) {
    const stream = vm.httpStream({
      requestHeaders: [
        [':path', ['/plain', '/wrap', '/replace', '/deny', '/cel'][i % 5] ?? '/'],
        ['x-request-id', `id-${i}`],
        ['x-bytes', BYTES],
        ['x-twice', 'a'],
        ['x-twice', 'b'],
      ],
    });
    pass(stream, vm);
    seen.push(stream.requestHeaderMap.pairs(), stream.request.forwarded);
    client.push(stream.clientResponse?.headers.pairs(), stream.clientResponse?.body);
    host.clock.advance(50);
  }
  expect(vm.failure).toBeUndefined();
  return { upstream: seen, client, logs: host.messages(), metrics: host.metrics.nonZero() };
}

function pass(stream: HttpStream, vm: Vm): void {
  stream.requestHeaders({ endOfStream: false });
  if (!stream.over) stream.requestBody('first \xe9', false);
  if (!stream.over) stream.requestBody(BYTES, true);
  for (const call of vm.root.httpCalls) call.respond({ body: BYTES });
  if (!stream.over && stream.request.complete) {
    stream.responseHeaders([[':status', '200']], { endOfStream: false });
    stream.responseBody(BYTES, false);
    stream.responseTrailers([['x-trailer', BYTES]]);
  }
  stream.end();
}

const PLUGINS = ['headers', 'phases', 'shared', 'http-call', 'ends', 'outside', 'bodies', 'hot', 'life', 'arena'];

// The compiler shares the machine with the other tests.
beforeAll(async () => {
  for (const plugin of [...PLUGINS, 'careless']) {
    for (const runtime of ['minimal', 'incremental'] as const) {
      await compilePlugin(`test/plugins/${plugin}.ts`, { exportRuntime: true, runtime });
    }
  }
}, 600_000);

describe('collecting garbage', () => {
  test.each(PLUGINS)('inside the allocator changes nothing for %s', async (plugin) => {
    expect(await traffic(plugin, 'incremental', 'allocator')).toEqual(await traffic(plugin, 'incremental', false));
  });

  test.each(PLUGINS)('after every callback changes nothing for %s as the release is built', async (plugin) => {
    expect(await traffic(plugin, 'minimal', 'callbacks')).toEqual(await traffic(plugin, 'minimal', false));
  });

  test('bites: a managed buffer held by its address alone is lost', async () => {
    const said = async (runtime: 'minimal' | 'incremental', torture: Torture | false): Promise<string[]> => {
      const module = await compilePlugin('test/plugins/careless.ts', { exportRuntime: true, runtime });
      const host = await EmulatedHost.load(module);
      const stream = host.vm({ rootId: 'careless', torture }).httpStream();
      stream.requestHeaders();
      stream.responseHeaders();
      return host.messages();
    };
    expect(await said('incremental', false)).toEqual(['name intact', 'kept intact']);
    expect(await said('incremental', 'allocator')).toEqual(['name overwritten', 'kept overwritten']);
    expect(await said('minimal', 'callbacks')).toEqual(['name intact', 'kept overwritten']);
  });
});

describe('a host call that fails', () => {
  const CALLS = [
    'proxy_get_header_map_value',
    'proxy_replace_header_map_value',
    'proxy_add_header_map_value',
    'proxy_get_header_map_pairs',
    'proxy_get_property',
    'proxy_get_shared_data',
    'proxy_set_shared_data',
    'proxy_get_current_time_nanoseconds',
    'proxy_define_metric',
    'proxy_increment_metric',
    'proxy_record_metric',
    'proxy_send_local_response',
    'proxy_get_log_level',
    'proxy_get_buffer_bytes',
  ];
  const statuses = Object.values(Status).filter((status) => status !== Status.Ok);

  test.each(CALLS)('%s: whatever its status, nothing traps', async (call) => {
    const module = await compilePlugin('test/plugins/hot.ts');
    for (const status of statuses) {
      const host = await EmulatedHost.load(module, { strict: false, record: false });
      const vm = host.vm({ rootId: 'hot' });
      host.faults.plan({ call, status });
      const broken = host.vm({ rootId: 'hot', vmConfiguration: 'configured while it fails' });
      for (const one of broken.configured ? [vm, broken] : [vm]) {
        for (const headers of [[], [['x-deny', '1']]] as [string, string][][]) {
          const stream = one.httpStream({ requestHeaders: [['x-request-id', 'a'], ...headers] });
          stream.requestHeaders();
          if (!stream.over && stream.request.stopped === undefined) stream.responseHeaders();
          stream.end();
        }
        one.root.tick();
        expect(one.failure).toBeUndefined();
      }
    }
  });
});
