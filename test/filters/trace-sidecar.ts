import { type CallRecord, EmulatedHost, type HeaderList, type HttpStream, type Vm } from '../emulator/index.ts';

export const TAG = 'x-asm-traffic-lane';
export const ID = 'x-request-id';
const COUNTER = 'causeway_trace_propagation_';

/** Names to values, or a list where a name occurs twice. */
export type Headers = HeaderList | Readonly<Record<string, string>>;

function list(headers: Headers): HeaderList {
  return Array.isArray(headers) ? headers : Object.entries(headers);
}

/** One sidecar: an inbound and an outbound VM on one shared data, and an application between them that the test plays. */
export class Sidecar {
  readonly host: EmulatedHost;
  readonly inbound: Vm;
  readonly outbound: Vm;
  readonly #options: Record<string, unknown>;

  /** `options` are configuration keys beside `direction`; the map is the smallest there is. */
  constructor(module: Uint8Array<ArrayBuffer>, options: Record<string, unknown> = {}) {
    this.host = new EmulatedHost(module);
    this.#options = { entries: 1024, ...options };
    this.inbound = this.vm('inbound');
    this.outbound = this.vm('outbound');
  }

  /** One more VM of a role, as another worker has it. */
  vm(direction: 'inbound' | 'outbound', options: Record<string, unknown> = {}): Vm {
    const configuration = { direction, ...this.#options, ...options };
    return this.host.vm({ label: direction, vmConfiguration: direction, rootId: 'trace-propagation', configuration });
  }

  /** A request comes in and stays in flight. */
  arrive(headers: Headers, vm: Vm = this.inbound): HttpStream {
    const stream = vm.httpStream({ requestHeaders: list(headers) });
    stream.requestHeaders();
    return stream;
  }

  /** The application sends a request and gets its answer. */
  exchange(headers: Headers): HttpStream {
    return this.outbound.exchange({ requestHeaders: list(headers) });
  }

  /** The application sends a request; the tag that goes upstream with it. */
  call(headers: Headers): string | undefined {
    return this.exchange(headers).requestHeaderMap.get(TAG);
  }

  /** Counters and gauges of the filter that are not zero, without their common prefix and suffix. */
  counted(): Record<string, number> {
    this.inbound.root.tick();
    this.outbound.root.tick();
    const own = Object.entries(this.host.metrics.nonZero()).filter(([name]) => name.startsWith(COUNTER));
    return Object.fromEntries(own.map(([name, value]) => [name.slice(COUNTER.length).replace('_total', ''), value]));
  }
}

/** Names of the host calls that a stream made, `proxy_` left out; those of one callback when it is named. */
export function hostCalls(stream: HttpStream, callback?: string): string[] {
  return stream.calls(callback).map((record: CallRecord) => record.name.replace('proxy_', ''));
}
