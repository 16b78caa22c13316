/**
 * The suite as it is released collects garbage on demand only, after configurations and now and then after a tick. Here
 * it collects after every callback, and freed memory is overwritten: what only unmanaged memory refers to would be lost.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { EmulatedHost, MapType, type Torture } from '../emulator/index.ts';
import { EXPRESSION, expressionHolds } from '../fuzz/reference/matcher.ts';
import { Random } from '../fuzz/reference/random.ts';
import { RequestMaker } from '../fuzz/reference/requests.ts';
import { SCENARIOS, type Scenario } from '../fuzz/reference/scenarios.ts';
import { compilePlugin } from '../support/compile-plugin.ts';

const REQUESTS = 400;

const module = compilePlugin('filters/suite.ts', { exportRuntime: true, runtime: 'minimal' });

// The compiler shares the machine with the other tests.
beforeAll(() => module, 300_000);

/** What went upstream and to the client, and the metrics, after the same requests. */
async function traffic(scenario: Scenario, torture: Torture | false): Promise<unknown> {
  const host = await EmulatedHost.load(await module, { record: false });
  host.foreign.explain(EXPRESSION, (context) =>
    expressionHolds(context.readableMap(MapType.RequestHeaders)?.get('x-cel')),
  );
  const vms = Object.entries(scenario.roles).map(([role, suite]) => {
    const [filter, section] = Object.entries(suite)[0] ?? [];
    const plugin = {
      rootId: scenario.alone ? (filter ?? '') : 'causeway',
      configuration: scenario.alone ? section : suite,
    };
    const vm = host.vm({ ...plugin, vmConfiguration: role, torture });
    // A second configuration makes garbage of the first.
    vm.reconfigure(plugin.configuration);
    expect(vm.configured, host.messages().join('\n')).toBe(true);
    return vm;
  });
  const maker = new RequestMaker(scenario);
  const random = new Random(11);
  const seen: unknown[] = [];
  for (let i = 0; i < REQUESTS; i++) {
    const request = maker.make(random);
    const vm = random.pick(vms);
    const stream = vm.httpStream({
      requestHeaders: request.headers,
      properties: { 'source.address': request.connection.sourceAddress },
    });
    stream.requestHeaders();
    if (!stream.over) stream.responseHeaders([[':status', '200']]);
    stream.end();
    host.clock.advance(100);
    seen.push(stream.requestHeaderMap.pairs(), stream.clientResponse?.headers.pairs());
  }
  expect(vms.map((vm) => vm.failure)).toEqual(vms.map(() => undefined));
  return { seen, metrics: host.metrics.nonZero(), logs: host.messages() };
}

describe('collecting after every callback changes nothing for', () => {
  test.each(SCENARIOS.map((scenario) => [scenario.name, scenario] as const))('%s', async (_name, scenario) => {
    expect(await traffic(scenario, 'callbacks')).toEqual(await traffic(scenario, false));
  });
});
