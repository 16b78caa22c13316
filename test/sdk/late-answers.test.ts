import { beforeEach, describe, expect, test } from 'vitest';
import { EmulatedHost, type HttpCall, type HttpStream, type Vm } from '../emulator/index.ts';
import { compilePlugin } from '../support/compile-plugin.ts';

describe('answers to HTTP calls', () => {
  let host: EmulatedHost;
  let vm: Vm;
  beforeEach(async () => {
    // The plugin asks twice in vain before it asks well: those two are misuse.
    host = await EmulatedHost.load(await compilePlugin('test/plugins/http-call.ts'), {
      strict: false,
      clusters: ['web'],
    });
    vm = host.vm({ rootId: 'http-call' });
  });

  function ask(path: string): { stream: HttpStream; call: HttpCall } {
    const stream = vm.httpStream({ requestHeaders: [[':path', path]] });
    expect(stream.requestHeaders()).toBe('StopIteration');
    const call = vm.root.httpCalls.at(-1);
    if (call === undefined) throw new Error('no call was made');
    return { stream, call };
  }

  test('reach the stream that asked, in any order', () => {
    const [first, second] = [ask('/1'), ask('/2')];
    second.call.respond({ body: 'two' });
    expect(first.stream.request.stopped).toBe('headers');
    first.call.respond({ body: 'one' });
    expect(first.stream.requestHeaderMap.get('x-verdict')).toBe('one');
    expect(second.stream.requestHeaderMap.get('x-verdict')).toBe('two');
    expect(second.stream.request.complete).toBe(true);
  });

  test('for a stream that has gone do nothing, also when its object serves another stream', () => {
    const { stream, call } = ask('/gone');
    stream.reset();
    const next = ask('/next');
    call.respond({ body: 'late' });
    expect(next.stream.requestHeaderMap.has('x-verdict')).toBe(false);
    expect(next.stream.request.stopped).toBe('headers');
    next.call.respond({ body: 'mine' });
    expect(next.stream.requestHeaderMap.get('x-verdict')).toBe('mine');
    expect(vm.failure).toBeUndefined();
  });

  test('for a root that has gone are not delivered', () => {
    const { call } = ask('/old');
    vm.reconfigure('new');
    const before = host.messages().length;
    expect(call.pending).toBe(false);
    call.respond({ body: 'late' });
    expect(host.messages()).toHaveLength(before);
    expect(vm.failure).toBeUndefined();
  });

  test('a broken connection is status 0, a timeout is what the host answers then', () => {
    ask('/1').call.fail();
    expect(host.messages()).toContain('answer 0 none');
    const { stream } = ask('/2');
    host.clock.advance(1000);
    expect(host.messages()).toContain('answer 504 "upstream request timeout"');
    expect(stream.requestHeaderMap.get('x-verdict')).toBe('upstream request timeout');
  });

  test('an answer with a token that nobody knows is dropped', () => {
    const { stream } = ask('/1');
    vm.instance.callback(vm.root, 'proxy_on_http_call_response', [vm.root.id, 4444, 1, 0, 0], () => undefined);
    vm.instance.callback(vm.root, 'proxy_on_http_call_response', [99, 4, 1, 0, 0], () => undefined);
    expect(stream.request.stopped).toBe('headers');
    expect(vm.failure).toBeUndefined();
  });

  test('a call more than the SDK keeps is refused, and the stream goes on', () => {
    const waiting = Array.from({ length: 64 }, (_, i) => ask(`/${i}`));
    const stream = vm.httpStream();
    expect(stream.requestHeaders()).toBe('Continue');
    for (const { call } of waiting) call.respond({ body: 'ok' });
    expect(waiting.every((one) => one.stream.request.complete)).toBe(true);
    ask('/again');
  });
});
