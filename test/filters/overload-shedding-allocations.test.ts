/** Shedding allocates nothing on a request's path nor on a tick: calm, hot and refusing, inbound and outbound. */
import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { EmulatedHost, type HttpStream, type Vm } from '../emulator/index.ts';
import { compilePlugin } from '../support/compile-plugin.ts';
import { GC_ALLOCATIONS, HEAP_ALLOCATIONS } from '../support/count-allocations.ts';
import { CLASS, DROPPED, SHED } from './overloaded-instance.ts';

const REPORTS = [
  { 'x-queue-ms': '12.5' },
  { 'x-queue-ms': 'odd' },
  { 'endpoint-load-metrics': 'TEXT named_metrics.queue_ms=7' },
  { 'endpoint-load-metrics': 'JSON {"named_metrics":{"queue_ms":7}}' },
  { 'endpoint-load-metrics-bin': 'QhMKCHF1ZXVlX21zEQAAAAAAABxA' },
  {},
];

let module: Uint8Array<ArrayBuffer>;

beforeAll(async () => {
  module = new Uint8Array(await readFile(await compilePlugin('filters/suite.ts', { countAllocations: true })));
}, 300_000);

function allocations(vms: readonly Vm[]): number[] {
  return [GC_ALLOCATIONS, HEAP_ALLOCATIONS].map((name) => vms.reduce((sum, vm) => sum + vm.instance.global(name), 0));
}

/** A burst that is refused in part, answered by and by in other order; the clock and its ticks go on. */
function inboundWave(host: EmulatedHost, vms: readonly Vm[], round: number): number {
  let refused = 0;
  const open: HttpStream[] = [];
  for (let i = 0; i < 150; i++) {
    const stream = (vms[i % vms.length] as Vm).httpStream({
      requestHeaders: [
        ['x-request-id', `id ${i}`],
        [CLASS, String(i % 11)],
        [DROPPED, String(i % 3)],
      ],
    });
    stream.requestHeaders();
    if (stream.clientResponse === undefined) open.push(stream);
    else {
      refused++;
      stream.end();
    }
    if (i % 5 === 0) host.clock.advance(7);
    const done = i % 6 === 0 ? open.splice(Math.floor(open.length / 2), 1)[0] : undefined;
    if (done === undefined) continue;
    if (i % 24 === 0) done.reset();
    else done.responseHeaders([[':status', '200'], ...Object.entries(REPORTS[(i + round) % REPORTS.length] ?? {})]);
    done.end();
  }
  for (const stream of open) {
    stream.responseHeaders([[':status', '200']]);
    stream.end();
  }
  host.clock.advance(1000);
  return refused;
}

describe('no allocation', () => {
  it.each(['header', 'orca', 'none'])('inbound on two workers, T2 by %s', (queueTime) => {
    const host = new EmulatedHost(module, { record: false });
    const configuration = { 'overload-shedding': { direction: 'inbound', queueTime } };
    const vms = [1, 2].map(() => host.vm({ vmConfiguration: 'inbound', rootId: 'causeway', configuration }));
    // Pools grow to the most streams at a time, workers get their slots.
    const most = vms.flatMap((vm) => Array.from({ length: 150 }, () => vm.httpStream()));
    for (const stream of most) stream.requestHeaders();
    for (const stream of most) stream.end();
    for (let round = 0; round < 5; round++) inboundWave(host, vms, round);
    const before = allocations(vms);
    let refused = 0;
    for (let round = 0; round < 20; round++) refused += inboundWave(host, vms, round);
    expect(allocations(vms)).toEqual(before);
    expect(refused).toBeGreaterThan(100);
    expect(vms.map((vm) => vm.failure)).toEqual([undefined, undefined]);
  });

  it('outbound, with and without a threshold', () => {
    const host = new EmulatedHost(module, { record: false });
    const configuration = {
      'overload-shedding': {
        direction: 'outbound',
        classes: [{ class: 1, match: { header: { name: 'x-user', exact: 'core' } } }],
        services: [{ name: 'reviews', authorities: ['reviews'] }],
      },
    };
    const vm = host.vm({ vmConfiguration: 'outbound', rootId: 'causeway', configuration });
    const wave = (): number => {
      let dropped = 0;
      for (let i = 0; i < 300; i++) {
        const stream = vm.httpStream({
          requestHeaders: [
            [':authority', 'reviews'],
            ['x-request-id', `id ${i}`],
            ['x-user', i % 3 === 0 ? 'core' : 'other'],
          ],
          properties: {
            'upstream.address': `10.0.0.${i % 40}:80`,
            xds: { upstream_host_metadata: { filter_metadata: { causeway: { instance: 'a' } } } },
          },
        });
        stream.requestHeaders();
        if (stream.clientResponse !== undefined) dropped++;
        else if (i % 2 === 0 && i > 100) stream.responseHeaders([[':status', '200']]);
        else
          stream.responseHeaders([
            [':status', '503'],
            [SHED, '200'],
          ]);
        stream.end();
      }
      host.clock.advance(1500);
      return dropped;
    };
    wave();
    const before = allocations([vm]);
    let dropped = 0;
    for (let i = 0; i < 10; i++) dropped += wave();
    expect(allocations([vm])).toEqual(before);
    expect(dropped).toBeGreaterThan(100);
  });
});
