/**
 * The suite itself allocates nothing on a request's path: no managed object, and no memory of any other kind, whatever
 * the request looks like. Counted in the compiled module.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { EmulatedHost, MapType, type Vm } from '../emulator/index.ts';
import { EXPRESSION, expressionHolds } from '../fuzz/reference/matcher.ts';
import { Random } from '../fuzz/reference/random.ts';
import { RequestMaker } from '../fuzz/reference/requests.ts';
import { SCENARIOS } from '../fuzz/reference/scenarios.ts';
import { compilePlugin } from '../support/compile-plugin.ts';
import { GC_ALLOCATIONS, HEAP_ALLOCATIONS } from '../support/count-allocations.ts';

const WAVES = 60;
const OPEN_AT_ONCE = 50;
/** One request's headers, several times over, fit into the arena's block of 128 KiB; longer ones take a chunk. */
const LONGEST_WITHOUT_CHUNK = 16 * 1024;

const module = compilePlugin('filters/suite.ts', { countAllocations: true });

/** Requests that are open at the same time on all roles, finished in another order. */
function wave(vms: readonly Vm[], maker: RequestMaker, random: Random): void {
  const open = Array.from({ length: OPEN_AT_ONCE }, () => {
    let request = maker.make(random);
    while (JSON.stringify(request.headers).length > LONGEST_WITHOUT_CHUNK) request = maker.make(random);
    const stream = random.pick(vms).httpStream({
      requestHeaders: request.headers,
      properties: { 'source.address': request.connection.sourceAddress },
    });
    stream.requestHeaders();
    return stream;
  });
  while (open.length > 0) {
    const [stream] = open.splice(random.below(open.length), 1);
    if (stream?.over === false) {
      if (random.chance(0.8)) stream.responseHeaders([[':status', '200']]);
      else stream.reset();
    }
    stream?.end();
  }
  for (const vm of vms) vm.root.tick();
}

// The compiler shares the machine with the other tests.
beforeAll(() => module, 300_000);

describe('the suite', () => {
  test.each(SCENARIOS.map((scenario) => [scenario.name, scenario] as const))('%s', async (_name, scenario) => {
    const host = await EmulatedHost.load(await module, { record: false });
    host.foreign.explain(EXPRESSION, (context) =>
      expressionHolds(context.readableMap(MapType.RequestHeaders)?.get('x-cel')),
    );
    const vms = Object.entries(scenario.roles).map(([role, suite]) => {
      const [filter, section] = Object.entries(suite)[0] ?? [];
      const vm = host.vm({
        vmConfiguration: role,
        rootId: scenario.alone ? (filter ?? '') : 'causeway',
        configuration: scenario.alone ? section : suite,
      });
      expect(vm.configured, host.messages().join('\n')).toBe(true);
      return vm;
    });
    const maker = new RequestMaker(scenario);
    const count = (what: string): number => vms.reduce((sum, vm) => sum + vm.instance.global(what), 0);
    const random = new Random(7);
    // Pools grow to the most streams that are open at a time.
    for (const vm of vms) wave([vm], maker, random);
    let quiet = 0;
    for (let i = 0; i < WAVES; i++) {
      const [managed, blocks, metrics] = [count(GC_ALLOCATIONS), count(HEAP_ALLOCATIONS), host.metrics.names().length];
      wave(vms, maker, random);
      // The first request over an edge of the mesh makes the edge's counter; their number is bounded.
      if (host.metrics.names().length > metrics) continue;
      quiet++;
      expect([count(GC_ALLOCATIONS) - managed, count(HEAP_ALLOCATIONS) - blocks], `wave ${i}`).toEqual([0, 0]);
    }
    expect(quiet).toBeGreaterThan(WAVES / 2);
    expect(vms.map((vm) => vm.failure)).toEqual(vms.map(() => undefined));
  });
});
