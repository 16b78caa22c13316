import type { AdaptiveRateLimitConfig } from '../../filters/adaptive-rate-limit/schema.ts';
import { EmulatedHost, type HeaderList, type HttpStream, type Vm } from '../emulator/index.ts';

const PREFIX = 'causeway_adaptive_rate_limit_';

/** The inbound side of one sidecar with several workers; the test plays its application. */
export class LimitedInstance {
  readonly host: EmulatedHost;
  readonly workers: Vm[];
  readonly #configuration: AdaptiveRateLimitConfig;

  constructor(module: Uint8Array<ArrayBuffer>, configuration: AdaptiveRateLimitConfig, workers = 1, record = false) {
    this.host = new EmulatedHost(module, { record });
    this.#configuration = configuration;
    this.workers = Array.from({ length: workers }, () => this.worker());
  }

  /** One more VM, as another worker has it, or the one that comes in the place of a trapped one. */
  worker(configuration: AdaptiveRateLimitConfig = this.#configuration): Vm {
    return this.host.vm({ vmConfiguration: 'inbound', rootId: 'adaptive-rate-limit', configuration });
  }

  get vm(): Vm {
    const [first] = this.workers;
    if (first === undefined) throw new Error('an instance without workers');
    return first;
  }

  /** A request that stays open when it is admitted. */
  arrive(path = '/', headers: HeaderList = [], vm: Vm = this.vm): HttpStream {
    const stream = vm.httpStream({ requestHeaders: [[':path', path], ...headers] });
    stream.requestHeaders();
    return stream;
  }

  /** A request that is over at once. True when it was admitted. */
  pass(path = '/', headers: HeaderList = [], vm: Vm = this.vm): boolean {
    const stream = this.arrive(path, headers, vm);
    const admitted = stream.clientResponse === undefined;
    if (admitted) stream.responseHeaders([[':status', '200']]);
    stream.end();
    return admitted;
  }

  /** Requests per second of each worker, evenly, for `ms`. Returns how many were admitted. */
  drive(perSecond: readonly number[], ms: number, path = '/', headers: HeaderList = []): number {
    let admitted = 0;
    const due = perSecond.map(() => 0);
    for (let at = 0; at < ms; at++) {
      for (const [i, vm] of this.workers.entries()) {
        due[i] = (due[i] ?? 0) + (perSecond[i] ?? 0) / 1000;
        for (; (due[i] ?? 0) >= 1; due[i] = (due[i] ?? 0) - 1) if (this.pass(path, headers, vm)) admitted++;
      }
      this.host.clock.advance(1);
    }
    return admitted;
  }

  /** Metrics that are not zero, without what all of them share. */
  metrics(): Record<string, number> {
    this.host.clock.advance(1000);
    const own = Object.entries(this.host.metrics.nonZero()).filter(([name]) => name.startsWith(PREFIX));
    return Object.fromEntries(own.map(([name, value]) => [name.slice(PREFIX.length).replace('_total', ''), value]));
  }
}

/** Host calls of one callback: names without their prefix, and what was asked for. */
export function hostCalls(stream: HttpStream, callback = 'proxy_on_request_headers'): string[] {
  return stream
    .calls(callback)
    .map(({ name, args }) => [name.replace('proxy_', ''), ...args.slice(-1)].join(' ').replaceAll('\0', '.').trim());
}
