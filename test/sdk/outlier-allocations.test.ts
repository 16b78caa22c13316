/**
 * outlier-blacklist allocates nothing on a request's path, with something listed as without. What a tick needs, when a
 * state changes, is the tick's. Counted in the compiled module.
 */
import { beforeAll, expect, test } from 'vitest';
import { EmulatedHost, type Vm } from '../emulator/index.ts';
import { compilePlugin } from '../support/compile-plugin.ts';
import { GC_ALLOCATIONS, HEAP_ALLOCATIONS } from '../support/count-allocations.ts';

const module = compilePlugin('filters/suite.ts', { countAllocations: true });
const HOSTS = [1, 2, 3].map((n) => ({ address: `127.0.0.${n}:9080` }));
const SERVICES = [
  { name: 'turns', authorities: ['turns'], hosts: HOSTS },
  { name: 'keys', authorities: ['keys'], hosts: HOSTS, hashHeader: 'x-user', grpc: true },
];

// The compiler shares the machine with the other tests.
beforeAll(() => module, 300_000);

function request(vm: Vm, service: string, n: number, bad: boolean): string | undefined {
  const stream = vm.httpStream({
    requestHeaders: Object.entries({
      ':authority': service,
      'x-user': `u${n}`,
      'x-asm-traffic-lane': n % 2 ? 'dev1' : 'base',
    }),
    properties: { 'upstream.address': `127.0.0.${(n % 3) + 1}:9080`, 'response.flags': 0, 'response.grpc_status': 0n },
  });
  stream.requestHeaders();
  const given = stream.requestHeaderMap.get('x-causeway-hosts');
  if (n % 20 === 19) stream.reset();
  else stream.responseHeaders([[':status', bad && n % 3 === 1 ? '503' : '200']]);
  stream.end();
  return given;
}

test('nothing is allocated for a request', async () => {
  const host = await EmulatedHost.load(await module, { record: false });
  const vm = host.vm({
    vmConfiguration: 'outbound',
    rootId: 'causeway',
    configuration: {
      'lane-fallback': {
        direction: 'outbound',
        lanes: [{ name: 'dev1' }],
        services: SERVICES.map(({ name, authorities }) => ({ name, authorities })),
        edges: 'none',
      },
      'outlier-blacklist': { services: SERVICES },
    },
  });
  expect(vm.configured, host.messages().join('\n')).toBe(true);
  const count = () => [GC_ALLOCATIONS, HEAP_ALLOCATIONS].map((what) => vm.instance.global(what));
  let listed = 0;
  // Good for two seconds, then one host fails.
  for (let round = 0; round < 40; round++) {
    const before = count();
    for (let n = 0; n < 60; n++) {
      if (request(vm, 'turns', n, round > 8) !== undefined) listed++;
      request(vm, 'keys', n, round > 8);
    }
    if (round > 0) expect(count(), `round ${round}`).toEqual(before);
    host.clock.advance(250);
  }
  expect(listed, 'a host was listed').toBeGreaterThan(0);
  expect(vm.failure).toBeUndefined();
});
