import type { Bytes } from './bytes.ts';
import type { ContextBuffer, LocalResponse } from './context.ts';
import { ImpossibleSequence } from './errors.ts';
import { HalfStream, type StepResult } from './half-stream.ts';
import { type HeaderList, HeaderMap } from './header-map.ts';
import { localReplyHeaders } from './local-reply.ts';
import { findProperty, type Properties, requestProperty, responseProperty } from './properties.ts';
import type { CallRecord } from './recorder.ts';
import type { RootContext } from './root-context.ts';
import { type BodyAction, BufferType, type HeaderAction, MapType, StreamType, type TrailerAction } from './status.ts';
import { VmContext } from './vm-context.ts';

export interface StreamOptions {
  /** Missing pseudo-headers are filled in: GET, /, http, example.test. */
  readonly requestHeaders?: HeaderList;
  /** Beside those that follow from the headers. */
  readonly properties?: Properties;
}

/** What the client gets. */
export interface ClientResponse {
  readonly status: number;
  readonly headers: HeaderMap;
  /** Binary string. */
  readonly body: string;
  /** `response_code_details`: `via_upstream`, or the plugin's, or `wasm_fail_stream`. */
  readonly details: string;
}

const PSEUDO_HEADERS: readonly (readonly [string, string])[] = [
  [':authority', 'example.test'],
  [':path', '/'],
  [':method', 'GET'],
  [':scheme', 'http'],
];

/** One HTTP request through one plugin: the test plays downstream and upstream, step by step. */
export class HttpStream extends VmContext {
  readonly #root: RootContext;
  readonly request = new HalfStream(this, 'request');
  readonly response = new HalfStream(this, 'response');
  /** Request headers as they are now: before the first step what the client sent, afterwards what goes upstream. */
  readonly requestHeaderMap: HeaderMap;
  /** Arguments of the plugin's `proxy_send_local_response`, if it made one. */
  localResponseSent: LocalResponse | undefined;
  /** Set once the response is decided: a local reply, or an upstream response that has passed the filter. */
  clientResponse: ClientResponse | undefined;
  /** Why the stream was reset, if it was. */
  resetReason: string | undefined;
  /** Times the cached route was dropped. A changed request header does it by itself. */
  routeCacheClears = 0;
  override readonly filterState = new Map<string, string>();
  #properties: Properties;
  #created = false;
  #logged = false;
  #ended = false;
  #failed = false;
  /** The plugin is skipped: its VM has failed and its policy is "open". */
  readonly bypassed: boolean;

  constructor(root: RootContext, options: StreamOptions, bypassed: boolean) {
    super(root.instance, root.instance.newContextId());
    this.#root = root;
    this.#properties = options.properties ?? {};
    this.bypassed = bypassed;
    const given = new HeaderMap(options.requestHeaders ?? []);
    const missing = PSEUDO_HEADERS.filter(([name]) => !given.has(name));
    this.requestHeaderMap = new HeaderMap([...missing, ...given.pairs()]);
    root.instance.contexts.set(this.id, this);
  }

  override get kind(): string {
    return 'HTTP stream';
  }

  override get root(): RootContext {
    return this.#root;
  }

  /** Downstream's headers. Returns what the plugin said. */
  requestHeaders(options: { endOfStream?: boolean } = {}): StepResult<HeaderAction> {
    return this.#step(() => {
      this.#create();
      return this.request.deliverHeaders(this.requestHeaderMap, options.endOfStream ?? true);
    });
  }

  requestBody(data: Bytes, endOfStream = true): StepResult<BodyAction> {
    return this.#step(() => this.request.deliverBody(data, endOfStream));
  }

  requestTrailers(trailers: HeaderList): StepResult<TrailerAction> {
    return this.#step(() => this.request.deliverTrailers(new HeaderMap(trailers)));
  }

  /** Upstream's headers. Not before the request's have gone there. */
  responseHeaders(
    headers: HeaderList = [[':status', '200']],
    options: { endOfStream?: boolean } = {},
  ): StepResult<HeaderAction> {
    return this.#step(() => {
      if (!this.request.headersForwarded) {
        throw new ImpossibleSequence('the request is stopped in the filter: upstream has nothing to answer');
      }
      const action = this.response.deliverHeaders(new HeaderMap(headers), options.endOfStream ?? true);
      this.#settle();
      return action;
    });
  }

  responseBody(data: Bytes, endOfStream = true): StepResult<BodyAction> {
    return this.#step(() => {
      const action = this.response.deliverBody(data, endOfStream);
      this.#settle();
      return action;
    });
  }

  responseTrailers(trailers: HeaderList): StepResult<TrailerAction> {
    return this.#step(() => {
      const action = this.response.deliverTrailers(new HeaderMap(trailers));
      this.#settle();
      return action;
    });
  }

  /** Access log time: all maps are readable, nothing can be changed. Happens once. */
  log(): void {
    if (this.#logged) return;
    this.#logged = true;
    if (this.bypassed) return;
    this.#create();
    this.logging = true;
    try {
      this.instance.callback(this, 'proxy_on_log', [this.id], () => undefined);
    } finally {
      this.logging = false;
    }
  }

  /** Logs if that has not happened, then ends the context: `proxy_on_done`, `proxy_on_delete`. */
  end(): void {
    if (this.#ended) return;
    this.log();
    this.#ended = true;
    if (this.#created) {
      this.instance.callback(this, 'proxy_on_done', [this.id], () => undefined);
      this.instance.callback(this, 'proxy_on_delete', [this.id], () => undefined);
    }
    this.instance.contexts.delete(this.id);
  }

  /** The client goes away, or the upstream's connection breaks: no more steps but `log` and `end`. */
  reset(reason = 'remote reset'): void {
    this.resetReason ??= reason;
    this.end();
  }

  /** True when nothing more can arrive: answered, reset or ended. */
  get over(): boolean {
    return this.#ended || this.#failed || this.resetReason !== undefined || this.localResponseSent !== undefined;
  }

  /** Host calls of this stream, oldest first; those of one callback when it is named. */
  calls(callback?: string): CallRecord[] {
    const filter = { vm: this.instance.label, contextId: this.id, ...(callback === undefined ? {} : { callback }) };
    return this.instance.env.calls.records(filter);
  }

  setProperties(properties: Properties): void {
    this.#properties = { ...this.#properties, ...properties };
  }

  /** What the test gave comes before what follows from the headers. */
  override property(segments: readonly string[]): string | undefined {
    const given = findProperty(this.#properties, segments);
    if (given !== undefined) return given;
    switch (segments[0]) {
      case 'request':
        return requestProperty(this.logging ? this.request.headers : this.request.visible.headers, segments);
      case 'response':
        return responseProperty(this.logging ? this.#responseAtLog() : this.response.visible.headers, segments);
      default:
        return this.#root.property(segments);
    }
  }

  override readableMap(type: MapType): HeaderMap | undefined {
    switch (type) {
      case MapType.RequestHeaders:
        return this.logging ? (this.request.headers ?? this.requestHeaderMap) : this.request.visible.headers;
      case MapType.RequestTrailers:
        return this.logging ? undefined : this.request.visible.trailers;
      case MapType.ResponseHeaders:
        return this.logging ? this.#responseAtLog() : this.response.visible.headers;
      case MapType.ResponseTrailers:
        return this.logging ? this.response.trailers : this.response.visible.trailers;
      default:
        return this.#root.readableMap(type);
    }
  }

  override writableMap(type: MapType): HeaderMap | undefined {
    const create = (): HeaderMap => new HeaderMap();
    switch (type) {
      case MapType.RequestHeaders:
        return this.request.visible.headers;
      case MapType.RequestTrailers:
        return this.request.addTrailers(create);
      case MapType.ResponseHeaders:
        return this.response.visible.headers;
      case MapType.ResponseTrailers:
        return this.response.addTrailers(create);
      default:
        return undefined;
    }
  }

  override buffer(type: BufferType): ContextBuffer | undefined {
    if (type === BufferType.HttpRequestBody) return this.request.visible.body;
    if (type === BufferType.HttpResponseBody) return this.response.visible.body;
    return type === BufferType.PluginConfiguration ? undefined : this.#root.buffer(type);
  }

  override headersModified(type: MapType): void {
    if (type === MapType.RequestHeaders) this.clearRouteCache();
  }

  override clearRouteCache(): void {
    this.routeCacheClears++;
  }

  override continueStream(type: StreamType): void {
    const half = type === StreamType.Request ? this.request : type === StreamType.Response ? this.response : undefined;
    if (half === undefined) {
      super.continueStream(type);
      return;
    }
    this.instance.afterCall(() => {
      if (this.over) return;
      half.continue();
      this.#settle();
    });
    // Envoy forgets the request's maps here, whichever direction goes on.
    this.request.visible = {};
  }

  override closeStream(type: StreamType): void {
    if (type !== StreamType.Request && type !== StreamType.Response) {
      super.closeStream(type);
      return;
    }
    this.instance.afterCall(() => {
      this.resetReason ??= 'wasm_close_stream';
    });
  }

  override localResponse(response: LocalResponse): void {
    this.instance.afterCall(() => this.#reply(response));
  }

  override failStream(): void {
    if (this.#failed) return;
    this.#failed = true;
    if (this.response.headersForwarded) {
      this.resetReason ??= 'wasm_fail_stream';
      return;
    }
    this.clientResponse = {
      status: 503,
      headers: new HeaderMap([[':status', '503']]),
      body: '',
      details: 'wasm_fail_stream',
    };
  }

  #create(): void {
    if (this.#created) return;
    this.#created = true;
    this.instance.callback(this, 'proxy_on_context_create', [this.id, this.#root.id], () => undefined);
  }

  /** Runs one step, unless the stream's VM has failed meanwhile or the stream is over. */
  #step<A extends string>(run: () => StepResult<A>): StepResult<A | 'Continue'> {
    if (this.#ended) throw new ImpossibleSequence('the stream has ended');
    if (this.over) throw new ImpossibleSequence(`the stream is over: ${this.#why()}`);
    if (this.instance.failure === undefined || this.bypassed) return run();
    this.failStream();
    return 'Failed';
  }

  /** What the client got, also when that is a local reply in place of the upstream's response. */
  #responseAtLog(): HeaderMap | undefined {
    return this.clientResponse?.headers ?? this.response.headers;
  }

  #why(): string {
    if (this.resetReason !== undefined) return `reset, ${this.resetReason}`;
    const { status, details } = this.clientResponse ?? { status: 0, details: '' };
    return `answered with ${status} ${details}`;
  }

  /** Envoy sends a local reply through the filter's own response callbacks unless the response has begun. */
  #reply(sent: LocalResponse): void {
    if (this.over) return;
    const direct = this.response.headers !== undefined;
    if (this.response.headersForwarded) {
      this.resetReason ??= 'local reply after response headers';
      return;
    }
    const { headers, body } = localReplyHeaders(sent, this.requestHeaderMap);
    if (!direct) {
      this.response.deliverHeaders(headers, body.length === 0);
      if (body.length > 0 && this.instance.failure === undefined) this.response.deliverBody(body, true);
    }
    this.localResponseSent = sent;
    if (this.#failed) return;
    this.clientResponse = {
      status: Number(headers.get(':status')),
      headers,
      body: direct ? body : this.response.forwarded,
      details: sent.details,
    };
  }

  /** Notes the upstream's response once it has passed the filter. */
  #settle(): void {
    const { headers } = this.response;
    if (this.over || headers === undefined || !this.response.headersForwarded) return;
    this.clientResponse = {
      status: Number(headers.get(':status')),
      headers,
      body: this.response.forwarded,
      details: 'via_upstream',
    };
  }
}
