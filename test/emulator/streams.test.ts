import { describe, expect, test } from 'vitest';
import { compilePlugin } from '../support/compile-plugin.ts';
import { EmulatedHost, type HostOptions, ImpossibleSequence, Status, type Vm, type VmOptions } from './index.ts';

async function start(
  plugin: string,
  options: VmOptions = {},
  hostOptions: HostOptions = {},
): Promise<{ host: EmulatedHost; vm: Vm }> {
  const host = await EmulatedHost.load(await compilePlugin(`test/plugins/${plugin}.ts`), hostOptions);
  return { host, vm: host.vm({ rootId: plugin, ...options }) };
}

describe('a stopped stream', () => {
  test('keeps what comes behind until the plugin continues, then delivers it in order', async () => {
    const { vm } = await start('http-call', {}, { strict: false, clusters: ['web'] });
    const stream = vm.httpStream();
    expect(stream.requestHeaders({ endOfStream: false })).toBe('StopIteration');
    expect(stream.requestBody('one ', false)).toBe('Pending');
    expect(stream.requestBody('two', true)).toBe('Pending');
    expect(stream.request.forwarded).toBe('');
    vm.root.httpCalls[0]?.respond({ body: 'ok' });
    expect([stream.request.headersForwarded, stream.request.forwarded, stream.request.complete]).toEqual([
      true,
      'one two',
      true,
    ]);
  });

  test('has no upstream that could answer', async () => {
    const { vm } = await start('http-call', {}, { strict: false, clusters: ['web'] });
    const stream = vm.httpStream();
    stream.requestHeaders();
    expect(() => stream.responseHeaders()).toThrow(ImpossibleSequence);
  });
});

describe('steps that no proxy makes', () => {
  test.each([
    ['a body before headers', (vm: Vm) => vm.httpStream().requestBody('x')],
    [
      'a body after the end',
      (vm: Vm) => {
        const stream = vm.httpStream();
        stream.requestHeaders();
        return stream.requestBody('x');
      },
    ],
    [
      'headers twice',
      (vm: Vm) => {
        const stream = vm.httpStream();
        stream.requestHeaders();
        return stream.requestHeaders();
      },
    ],
    [
      'a response after a local answer',
      (vm: Vm) => {
        const stream = vm.httpStream({ requestHeaders: [[':path', '/deny']] });
        stream.requestHeaders();
        return stream.responseHeaders();
      },
    ],
    ['anything after the end', (vm: Vm) => vm.exchange().responseBody('x')],
  ])('%s', async (_what, misstep) => {
    const { vm } = await start('ends');
    expect(() => misstep(vm)).toThrow(ImpossibleSequence);
  });
});

describe('a local answer', () => {
  test('runs through the response callbacks of the plugin after its request callback', async () => {
    const { host, vm } = await start('ends');
    const stream = vm.httpStream({ requestHeaders: [[':path', '/deny']] });
    const calls = host.calls.during(() => stream.requestHeaders());
    const sent = calls.findIndex((line) => line.startsWith('proxy_send_local_response'));
    const seen = calls.findIndex((line) => line.startsWith('proxy_replace_header_map_value(ResponseHeaders'));
    expect(sent).toBeGreaterThan(0);
    expect(seen).toBeGreaterThan(sent);
    expect(stream.localResponseSent).toMatchObject({ status: 403, details: 'denied_by_test', body: 'denied' });
    expect(stream.clientResponse?.headers.toObject()).toMatchObject({
      ':status': '403',
      'content-length': '6',
      'x-seen-by-response': 'yes',
    });
  });

  test('that comes when the response is half on its way resets the stream', async () => {
    const { vm } = await start('ends', { failurePolicy: 'closed' });
    const stream = vm.httpStream({ requestHeaders: [[':path', '/plain']] });
    stream.requestHeaders();
    stream.responseHeaders([[':status', '200']], { endOfStream: false });
    stream.localResponse({ status: 500, details: 'late', body: '', headers: [], grpcStatus: -1 });
    stream.responseBody('x');
    expect(stream.resetReason).toBe('local reply after response headers');
  });
});

describe('several VMs', () => {
  test('share data by vm_id, have memory of their own, and die alone', async () => {
    const { host, vm } = await start('shared');
    const [same, other] = [host.vm({ rootId: 'shared' }), host.vm({ rootId: 'shared', vmId: 'other' })];
    vm.exchange();
    expect(host.sharedData.get('causeway', 'key')).toBeDefined();
    expect(host.sharedData.get('other', 'key')).toBeUndefined();
    same.exchange();
    other.exchange();
    expect(host.logs.filter((line) => line.vm === 'vm3').map((line) => line.message)).toContain('never set: none');
  });

  test('a queue tells its newest receiver, after the callback that sent', async () => {
    const { host, vm } = await start('shared', { label: 'first', vmId: 'twins' }, { strict: false });
    host.vm({ rootId: 'shared', label: 'second', vmId: 'twins' });
    vm.exchange();
    const heard = host.logs.filter((line) => line.message.startsWith('queue ready'));
    expect(heard.map((line) => line.vm)).toEqual(['second', 'second']);
    const order = host.messages();
    expect(order.indexOf('request done')).toBeLessThan(order.indexOf('queue ready "one"'));
  });

  test('a trap in one leaves the others alone', async () => {
    const { host, vm } = await start('ends');
    const role = host.vm({ rootId: 'ends', vmConfiguration: 'another role' });
    const open = vm.httpStream();
    open.requestHeaders();
    expect(vm.exchange({ requestHeaders: [[':path', '/panic']] }).clientResponse?.status).toBe(503);
    expect(open.responseHeaders()).toBe('Failed');
    expect(open.clientResponse?.details).toBe('wasm_fail_stream');
    expect(role.exchange().clientResponse?.status).toBe(200);
  });
});

describe('records', () => {
  test('tell each call with its callback, context, arguments and result', async () => {
    const { host, vm } = await start('headers');
    const stream = vm.httpStream({ requestHeaders: [['x-bytes', '1']] });
    stream.requestHeaders();
    expect(stream.calls('proxy_on_request_headers')[0]).toMatchObject({
      vm: 'vm1',
      callback: 'proxy_on_request_headers',
      contextId: stream.id,
      name: 'proxy_get_header_map_value',
      args: ['RequestHeaders', ':path'],
      status: Status.Ok,
      result: '/',
    });
    host.calls.reset();
    stream.responseHeaders();
    expect(host.calls.counts()).toEqual({
      proxy_get_header_map_value: 1,
      proxy_log: 1,
      proxy_add_header_map_value: 1,
      proxy_replace_header_map_value: 1,
      proxy_remove_header_map_value: 1,
    });
  });

  test('a planned fault shows as its status, and the call is not done', async () => {
    const { host, vm } = await start('headers');
    host.faults.plan({ call: 'proxy_add_header_map_value', status: Status.InternalFailure, times: 1 });
    const stream = vm.httpStream({ requestHeaders: [['x-bytes', '1']] });
    stream.requestHeaders();
    expect(stream.requestHeaderMap.values('x-added')).toEqual(['/']);
    expect(host.calls.records({ name: 'proxy_add_header_map_value' }).map(({ status }) => status)).toEqual([10, 0]);
  });
});

describe('time', () => {
  test('a timer ticks by the clock alone, and stops with its plugin', async () => {
    const { host, vm } = await start('life', { configuration: 'x' });
    host.calls.reset();
    host.clock.advance(3500);
    expect(host.calls.count('proxy_get_log_level')).toBe(3);
    vm.shutdown();
    host.clock.advance(10_000);
    expect(host.calls.count('proxy_get_log_level')).toBe(3);
  });
});
