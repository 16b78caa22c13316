import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { laneScheme } from '../../envoy-configs/clusters.ts';
import { calleesOf, type JsonObject } from '../../envoy-configs/mesh.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import type { CausewayConfig } from '../../envoy-configs/schema.ts';
import { gatewaySections, inboundSections, outboundSections } from '../../envoy-configs/sections.ts';
import { EmulatedHost, type Vm } from '../emulator/index.ts';
import { compilePlugin } from '../support/compile-plugin.ts';
import { parentOf, TRACE, TRACE_CONTEXT, TWO_PARENTS, traceHeaders } from '../support/trace-context.ts';
import { Sidecar, TAG } from './trace-sidecar.ts';

const ROOT = new URL('../..', import.meta.url).pathname;
const OPTIONS = { sources: [{ header: 'traceparent' }], leakSample: 1 };

let module: Uint8Array<ArrayBuffer>;
/** The whole suite in each of its roles. */
let suites: readonly (readonly [role: string, vm: Vm])[];
/** Has learnt the tag of the cases' trace. */
let knowing: Sidecar;

beforeAll(async () => {
  module = new Uint8Array(await readFile(await compilePlugin('filters/suite.ts')));
  const config = parse(await readFile(join(ROOT, 'harness/demo/bookinfo.yaml'), 'utf8')) as CausewayConfig;
  Object.assign(config, { trace: { sources: [{ header: 'traceparent' }, { header: 'x-request-id' }] } });
  Object.assign(config.services.reviews ?? {}, { overload: {}, limits: { perSecond: 1_000_000 }, healing: true });
  const mesh = resolveMesh(config);
  const [service] = mesh.services.filter(({ name }) => name === 'reviews');
  const [instance] = service?.instances ?? [];
  if (!service || !instance) throw new Error('no reviews in the demo');
  const scheme = laneScheme(mesh);
  const sections: Record<string, JsonObject> = {
    gateway: gatewaySections(mesh, scheme, 'gateway'),
    inbound: inboundSections(mesh, instance),
    outbound: outboundSections(mesh, scheme, instance, calleesOf(mesh, service)),
  };
  suites = Object.entries(sections).map(([role, configuration]) => {
    const host = new EmulatedHost(module);
    return [role, host.vm({ label: role, vmConfiguration: role, rootId: 'causeway', configuration })] as const;
  });
  knowing = new Sidecar(module, OPTIONS);
  knowing.arrive({ [TAG]: 'dev1', traceparent: parentOf(TRACE) });
});

describe.each(TRACE_CONTEXT)('$what', ({ headers, id }) => {
  it(id === null ? 'is not learnt from' : 'is learnt from', () => {
    const sidecar = new Sidecar(module, OPTIONS);
    sidecar.arrive([[TAG, 'dev1'], ...headers]);
    expect(sidecar.call({ traceparent: parentOf(TRACE) })).toBe(id === null ? undefined : 'dev1');
    expect(sidecar.counted().stored).toBe(id === null ? undefined : 1);
  });

  it('asks for the tag by a valid one alone', () => {
    const stream = knowing.exchange(headers);
    expect(stream.requestHeaderMap.get(TAG)).toBe(id === null ? undefined : 'dev1');
    expect(traceHeaders(stream.requestHeaderMap.pairs())).toEqual(traceHeaders(headers));
  });

  it('goes through every role of the whole suite as it is', () => {
    for (const [role, vm] of suites) {
      const rest = [
        [':method', 'GET'],
        [':path', '/reviews/0'],
        [':authority', 'ratings:9080'],
        [TAG, 'dev1'],
      ] as const;
      const { requestHeaderMap } = vm.exchange({ requestHeaders: [...rest, ...headers] });
      expect([role, traceHeaders(requestHeaderMap.pairs())]).toEqual([role, traceHeaders(headers)]);
    }
  });
});

it('two traceparent headers: both go on, and the first alone is handed to the filter', () => {
  const sidecar = new Sidecar(module, OPTIONS);
  const stream = sidecar.arrive([[TAG, 'dev1'], ...TWO_PARENTS]);
  expect(traceHeaders(stream.requestHeaderMap.pairs())).toEqual(TWO_PARENTS);
  const [first = '', second = ''] = TWO_PARENTS.map(([, value]) => value);
  expect(sidecar.call({ traceparent: first })).toBe('dev1');
  expect(sidecar.call({ traceparent: second })).toBeUndefined();
});

it('baggage mode, which writes baggage, leaves the trace context beside it alone', () => {
  const sidecar = new Sidecar(module, { mode: 'baggage', baggageKey: 'lane' });
  for (const { what, headers } of TRACE_CONTEXT) {
    const stream = sidecar.arrive([[TAG, 'dev1'], ['baggage', 'a=b'], ...headers]);
    expect([what, stream.requestHeaderMap.get('baggage')]).toEqual([what, 'lane=dev1,a=b']);
    expect([what, traceHeaders(stream.requestHeaderMap.pairs())]).toEqual([what, traceHeaders(headers)]);
  }
});
