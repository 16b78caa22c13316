import { EmulatedHost, type HttpCall, type HttpStream, type Vm } from '../emulator/index.ts';
import type { Twin, TwinExchange, TwinOptions, TwinRequest } from './twin.ts';
import type { UpstreamHandler, UpstreamRequest } from './upstream.ts';

/** The plugin in the strict emulator. */
export class EmulatedTwin implements Twin {
  #host: EmulatedHost;
  #vm: Vm;
  #upstream: UpstreamHandler;
  #clusters: Readonly<Record<string, UpstreamHandler>>;
  #answering = new Map<HttpCall, Promise<void>>();

  private constructor(host: EmulatedHost, vm: Vm, options: TwinOptions) {
    this.#host = host;
    this.#vm = vm;
    this.#upstream = options.upstream ?? (() => ({}));
    this.#clusters = options.clusters ?? {};
  }

  static async start(options: TwinOptions): Promise<EmulatedTwin> {
    // Lenient: some twins ask on purpose for what a phase does not have, and log the status.
    const clusters = Object.keys(options.clusters ?? {});
    const host = await EmulatedHost.load(options.module, { strict: false, clusters });
    for (const [text, meaning] of Object.entries(options.expressions ?? {})) host.foreign.explain(text, meaning);
    const vm = host.vm({
      vmId: 'twins',
      name: 'twin',
      rootId: options.rootId,
      configuration: options.configuration,
      vmConfiguration: options.vmConfiguration ?? '',
      failurePolicy: options.failurePolicy ?? 'closed',
    });
    return new EmulatedTwin(host, vm, options);
  }

  async exchange(request: TwinRequest = {}): Promise<TwinExchange> {
    const stream = this.#vm.httpStream({
      requestHeaders: [
        [':method', request.method ?? 'GET'],
        [':path', request.path ?? '/'],
        [':authority', 'twin.test'],
        ...(request.headers ?? []),
      ],
    });
    const whole = request.body === undefined && request.trailers === undefined;
    stream.requestHeaders({ endOfStream: whole });
    // An HTTP/1 codec tells the end of a body by an empty piece of its own.
    if (request.body !== undefined && !stream.over) stream.requestBody(request.body, false);
    if (request.body !== undefined && request.trailers === undefined && !stream.over) stream.requestBody('', true);
    if (request.trailers !== undefined && !stream.over) stream.requestTrailers(request.trailers);
    await this.#answerCalls();
    const seen = await this.#reachUpstream(stream);
    await this.#answerCalls();
    stream.end();
    const response = stream.resetReason === undefined ? stream.clientResponse : undefined;
    return {
      status: response?.status ?? 0,
      headers: response?.headers.pairs() ?? [],
      body: response?.body ?? '',
      trailers: stream.response.trailers?.pairs() ?? [],
      upstream: seen,
    };
  }

  async logs(): Promise<string[]> {
    return this.#host.messages();
  }

  async metric(name: string): Promise<number | undefined> {
    return this.#host.metrics.value(name);
  }

  async eventually(what: string, look: () => Promise<boolean>): Promise<void> {
    for (let i = 0; i < 100; i++) {
      if (await look()) return;
      this.#host.clock.advance(100);
      await this.#answerCalls();
    }
    throw new Error(`not within 10 s of emulated time: ${what}`);
  }

  async stop(): Promise<void> {
    this.#vm.shutdown();
  }

  async #reachUpstream(stream: HttpStream): Promise<UpstreamRequest | undefined> {
    if (stream.over || !stream.request.complete) return undefined;
    const request = { headers: stream.requestHeaderMap.pairs(), body: stream.request.forwarded };
    const { status = 200, headers = [], body = '', trailers = [] } = await this.#upstream(request);
    const whole = body === '' && trailers.length === 0;
    stream.responseHeaders([[':status', String(status)], ...headers], { endOfStream: whole });
    if (body !== '' && !stream.over) stream.responseBody(body, false);
    if (body !== '' && trailers.length === 0 && !stream.over) stream.responseBody('', true);
    if (trailers.length > 0 && !stream.over) stream.responseTrailers(trailers);
    return request;
  }

  /** Waits for every call on its way, those that a concurrent exchange has begun to answer included. */
  async #answerCalls(): Promise<void> {
    if (this.#vm.failure !== undefined) return;
    for (const call of this.#vm.root.httpCalls) {
      if (call.pending && !this.#answering.has(call)) this.#answering.set(call, this.#answer(call));
    }
    await Promise.all(this.#answering.values());
  }

  async #answer(call: HttpCall): Promise<void> {
    const handler = this.#clusters[call.cluster];
    if (handler === undefined) return;
    const request = { headers: call.headers.pairs(), body: call.body };
    const { status = 200, headers = [], body = '' } = await handler(request);
    call.respond({ headers: [[':status', String(status)], ...headers], body });
    this.#answering.delete(call);
  }
}
