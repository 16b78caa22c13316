import { beforeAll, expect, it } from 'vitest';
import { EmulatedHost } from '../emulator/index.ts';
import { compilePlugin } from '../support/compile-plugin.ts';
import { GC_ALLOCATIONS, HEAP_ALLOCATIONS } from '../support/count-allocations.ts';

const module = compilePlugin('filters/suite.ts', { countAllocations: true });

beforeAll(() => module, 300_000);

/** Requests that are open at once. */
const WAVE = 20;

it.each([
  ['let in', {}],
  ['kept out', { isolated: true }],
  ['kept out by a rule', { rules: [{ name: 'r', match: { header: { name: 'end-user', exact: 'mallory' } } }] }],
  ['let in for diagnosis', { isolated: true, identities: ['spiffe://mesh/debugger'] }],
  ['reset after the drain', { isolated: true, drainSeconds: 0 }],
])('a request that is %s allocates nothing', async (_what, section) => {
  const host = await EmulatedHost.load(await module, { record: false });
  const vm = host.vm({
    rootId: 'isolation',
    vmConfiguration: 'inbound',
    configuration: { direction: 'inbound', ...section },
  });
  expect(vm.configured, host.messages().join('\n')).toBe(true);
  const wave = () => {
    const streams = Array.from({ length: WAVE }, (_, n) => {
      const stream = vm.httpStream({
        requestHeaders: n % 2 === 0 ? [['end-user', 'mallory']] : [],
        properties: n % 3 === 0 ? { 'connection.uri_san_peer_certificate': 'spiffe://mesh/debugger' } : {},
      });
      stream.requestHeaders();
      return stream;
    });
    host.clock.advance(1_000);
    for (const stream of streams) stream.end();
  };
  wave();
  const counts = () => [GC_ALLOCATIONS, HEAP_ALLOCATIONS].map((what) => vm.instance.global(what));
  const before = counts();
  for (let n = 0; n < 20; n++) wave();
  expect(counts()).toEqual(before);
  expect(vm.failure).toBeUndefined();
});
