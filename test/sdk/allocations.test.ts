import { beforeEach, describe, expect, test } from 'vitest';
import { EmulatedHost, type HttpStream, type Vm } from '../emulator/index.ts';
import { compilePlugin } from '../support/compile-plugin.ts';
import { GC_ALLOCATIONS, HEAP_ALLOCATIONS } from '../support/count-allocations.ts';

const module = compilePlugin('test/plugins/hot.ts', { countAllocations: true });

describe('the hot path', () => {
  let vm: Vm;
  beforeEach(async () => {
    const host = await EmulatedHost.load(await module, { record: false });
    vm = host.vm({ rootId: 'hot' });
  });

  function open(extra: [string, string][] = []): HttpStream {
    return vm.httpStream({
      requestHeaders: [[':path', '/reviews/7'], ['x-request-id', '41d4-\xe9\xff'], ['x-lane', '17'], ...extra],
      properties: { 'source.address': '127.0.0.1:4711' },
    });
  }

  function finish(stream: HttpStream): void {
    if (!stream.over) stream.responseHeaders();
    stream.end();
  }

  function run(extra: [string, string][] = []): void {
    const stream = open(extra);
    stream.requestHeaders();
    finish(stream);
  }

  /** What `action` allocates: managed objects, and blocks of any kind. */
  function allocated(action: () => void): { managed: number; blocks: number } {
    const [managed, blocks] = [vm.instance.global(GC_ALLOCATIONS), vm.instance.global(HEAP_ALLOCATIONS)];
    action();
    return {
      managed: vm.instance.global(GC_ALLOCATIONS) - managed,
      blocks: vm.instance.global(HEAP_ALLOCATIONS) - blocks,
    };
  }

  test('the counter counts: the first stream makes its pooled objects', () => {
    const first = allocated(() => run());
    expect(first.managed).toBeGreaterThan(0);
    expect(first.blocks).toBeGreaterThanOrEqual(first.managed);
  });

  test('1,000 requests one after another allocate nothing', () => {
    run();
    expect(allocated(() => Array.from({ length: 1000 }, () => run()))).toEqual({ managed: 0, blocks: 0 });
  });

  test('answers of its own allocate nothing', () => {
    run([['x-deny', '1']]);
    expect(allocated(() => Array.from({ length: 100 }, () => run([['x-deny', '1']])))).toEqual({
      managed: 0,
      blocks: 0,
    });
  });

  test('ticks allocate nothing', () => {
    run();
    vm.root.tick();
    const result = allocated(() => {
      run();
      vm.root.tick();
    });
    expect(result).toEqual({ managed: 0, blocks: 0 });
  });

  test('many at once: the pool grows to the most that were ever open, then nothing more', () => {
    const wave = (): void => {
      const streams = Array.from({ length: 2000 }, () => open());
      for (const stream of streams) stream.requestHeaders();
      // Not in the order in which they began.
      for (const stream of streams.reverse()) finish(stream);
    };
    wave();
    expect(allocated(wave)).toEqual({ managed: 0, blocks: 0 });
  });

  test('a stream that is reset goes back to the pool', () => {
    run();
    const result = allocated(() => {
      const stream = open();
      stream.requestHeaders();
      stream.reset();
      run();
    });
    expect(result).toEqual({ managed: 0, blocks: 0 });
  });

  test('a large header map spills into a chunk that is given back', () => {
    const large = 'v'.repeat(70_000);
    const size = (): number => vm.instance.memory.size;
    const spill = (): void => {
      run([
        ['x-large', large],
        ['x-larger', large],
      ]);
      // The next callback frees the chunk.
      run();
    };
    spill();
    const before = size();
    const result = allocated(() => Array.from({ length: 50 }, spill));
    expect(result.managed).toBe(0);
    expect(result.blocks).toBeGreaterThan(0);
    expect(size()).toBe(before);
  });
});
