import { describe, expect, test } from 'vitest';
import { EmulatedHost, type Vm } from '../emulator/index.ts';
import { compilePlugin } from '../support/compile-plugin.ts';

const MIB = 1024 * 1024;

/** Lenient: past the arena's limit the host must get "no memory" as a status, and nothing else. */
async function start(): Promise<{ host: EmulatedHost; vm: Vm }> {
  const host = await EmulatedHost.load(await compilePlugin('test/plugins/arena.ts'), { strict: false, record: false });
  return { host, vm: host.vm({ rootId: 'arena' }) };
}

function post(vm: Vm, body: string): void {
  const stream = vm.httpStream();
  stream.requestHeaders({ endOfStream: false });
  stream.requestBody(body);
  stream.end();
}

describe('what the host writes', () => {
  test.each([
    ['that fits into the block', 100 * 1024],
    ['larger than the block', 129 * 1024],
    ['just within the limit', 8 * MIB],
  ])('a body %s arrives whole', async (_what, size) => {
    const { host, vm } = await start();
    post(vm, '\xff'.repeat(size));
    expect(host.messages()).toEqual([`body ${size} sum ${size * 255}`]);
  });

  test('a body past the limit is "none", and the next callback is well', async () => {
    const { host, vm } = await start();
    post(vm, 'x'.repeat(8 * MIB + 1));
    post(vm, 'abc');
    expect(host.messages()).toEqual(['body none', 'body 3 sum 294']);
    expect(vm.failure).toBeUndefined();
  });

  test('values of one callback do not overwrite each other, in the block and beyond', async () => {
    const { host, vm } = await start();
    vm.exchange({
      requestHeaders: [
        ['x-times', 'x'.repeat(60)],
        ['x-large', '\x80\xff'.repeat(30_000)],
      ],
    });
    expect(host.messages()).toEqual(['kept 60 same']);
  });

  test('many values stop at the limit instead of growing without end', async () => {
    const { host, vm } = await start();
    vm.exchange({
      requestHeaders: [
        ['x-times', 'x'.repeat(1000)],
        ['x-large', 'v'.repeat(60_000)],
      ],
    });
    const kept = Number(/^kept (\d+) same$/.exec(host.messages()[0] ?? '')?.[1]);
    expect(kept).toBeGreaterThan(130);
    expect(kept * 60_000).toBeLessThan(8 * MIB + 256 * 1024);
  });

  test('memory does not grow from callback to callback', async () => {
    const { vm } = await start();
    for (let i = 0; i < 3; i++) post(vm, 'x'.repeat(2 * MIB));
    const before = vm.instance.memory.size;
    for (let i = 0; i < 40; i++) post(vm, 'x'.repeat(2 * MIB - i * 1000));
    expect(vm.instance.memory.size).toBe(before);
  });
});
