import { type CallRecord, EmulatedHost, type HeaderList, type HttpStream, type Vm } from '../emulator/index.ts';

export const CLASS = 'x-causeway-class';
export const SHED = 'x-causeway-shed';
export const DROPPED = 'x-causeway-dropped';
const COUNTER = 'causeway_overload_shedding_';

export type Headers = Readonly<Record<string, string>>;

/** The inbound side of one sidecar; the test plays its application, which takes 10 ms for a request unless it is told otherwise. */
export class Instance {
  readonly host: EmulatedHost;
  readonly vm: Vm;
  /** Requests that were given to the first worker. */
  sent = 0;
  readonly #options: Record<string, unknown>;
  readonly #torture: boolean;
  #open: HttpStream[] = [];

  /** `torture`: memory is collected under every host call; without `record` no host calls are kept. */
  constructor(
    module: Uint8Array<ArrayBuffer>,
    options: Record<string, unknown> = {},
    { torture = false, record = true } = {},
  ) {
    this.host = new EmulatedHost(module, { record });
    this.#options = options;
    this.#torture = torture;
    this.vm = this.worker();
  }

  /** One more VM, as another worker has it. */
  worker(): Vm {
    return this.host.vm({
      vmConfiguration: 'inbound',
      rootId: 'overload-shedding',
      configuration: { direction: 'inbound', ...this.#options },
      torture: this.#torture,
    });
  }

  /** A request comes in, and stays in flight when it is admitted; `endOfStream`: it has no body. */
  arrive(headers: Headers | HeaderList = {}, vm: Vm = this.vm, endOfStream = true): HttpStream {
    const given: HeaderList = Array.isArray(headers) ? headers : Object.entries(headers);
    const id = given.some(([name]) => name === 'x-request-id') ? [] : [['x-request-id', `id ${this.sent}`] as const];
    const stream = vm.httpStream({ requestHeaders: [...id, ...given] });
    if (vm === this.vm) this.sent++;
    stream.requestHeaders({ endOfStream });
    if (stream.clientResponse === undefined) this.#open.push(stream);
    return stream;
  }

  answer(stream: HttpStream, headers: Headers | HeaderList = {}, status = '200'): void {
    this.#open = this.#open.filter((open) => open !== stream);
    const given: HeaderList = Array.isArray(headers) ? headers : Object.entries(headers);
    stream.responseHeaders([[':status', status], ...given]);
    stream.end();
  }

  exchange(headers: Headers = {}, vm: Vm = this.vm): HttpStream {
    const stream = this.arrive(headers, vm);
    this.host.clock.advance(10);
    if (stream.clientResponse === undefined) this.answer(stream, { 'x-queue-ms': '0' });
    else stream.end();
    return stream;
  }

  /** Two seconds of four requests every 10 ms, which the application takes together. */
  warmUpTo400(): void {
    for (let i = 0; i < 200; i++) {
      const open = Array.from({ length: 4 }, () => this.arrive());
      this.host.clock.advance(10);
      for (const stream of open) this.answer(stream, { 'x-queue-ms': '0' });
    }
  }

  /** Two seconds of 40 requests a second. */
  warmUp(report: Headers = { 'x-queue-ms': '0' }): void {
    for (let i = 0; i < 80; i++) {
      const stream = this.arrive();
      this.host.clock.advance(10);
      this.answer(stream, report);
      this.host.clock.advance(15);
    }
  }

  /** A second of 100 requests, none of which is answered: some keys are over the threshold then. */
  overload(): void {
    for (let i = 0; i < 100; i++) {
      this.arrive();
      this.host.clock.advance(10);
    }
  }

  /** Requests at once, until the first is refused. */
  flood(): void {
    for (let i = 0; i < 1000; i++) {
      const stream = this.arrive();
      if (stream.clientResponse === undefined) continue;
      stream.end();
      return;
    }
    throw new Error('1,000 requests at once, and none was refused');
  }

  answerOldest(count: number, queueMs: number): void {
    for (const stream of this.#open.slice(0, count)) this.answer(stream, { 'x-queue-ms': String(queueMs) });
  }

  /** The caller of the oldest request gives up. */
  resetOldest(): void {
    const stream = this.#open.shift();
    stream?.reset();
    stream?.end();
  }

  answerAll(): void {
    this.answerOldest(this.#open.length, 0);
  }

  get inFlight(): number {
    return this.#open.length;
  }

  /** Counters that are not zero, without their common prefix and suffix. */
  counted(): Record<string, number> {
    // Counters are handed over once a second.
    for (let i = 0; i < 10; i++) this.vm.root.tick();
    return this.#named(/_total/);
  }

  gauges(): Record<string, number> {
    return this.gaugesOf(this.vm);
  }

  gaugesOf(vm: Vm): Record<string, number> {
    for (let i = 0; i < 10; i++) vm.root.tick();
    return { level_percent: 0, in_flight: 0, queue_microseconds: 0, ...this.#named(/^(?!.*_total)/) };
  }

  #named(pattern: RegExp): Record<string, number> {
    const own = Object.entries(this.host.metrics.nonZero()).filter(
      ([name]) => name.startsWith(COUNTER) && pattern.test(name),
    );
    return Object.fromEntries(own.map(([name, value]) => [name.slice(COUNTER.length).replace('_total', ''), value]));
  }
}

/** Names of the host calls of one callback, `proxy_` left out; of the request's unless said otherwise. */
export function hostCalls(stream: HttpStream, callback = 'proxy_on_request_headers'): string[] {
  return stream.calls(callback).map((record: CallRecord) => record.name.replace('proxy_', ''));
}
