import type { ContextBuffer } from './context.ts';
import { type HeaderList, HeaderMap } from './header-map.ts';
import { HttpCall, type HttpCallResponse } from './http-call.ts';
import type { Instance } from './instance.ts';
import { findProperty, type Properties } from './properties.ts';
import { BufferType, MapType, Status } from './status.ts';
import { VmContext } from './vm-context.ts';

export interface RootOptions {
  /** `root_id` of the plugin. Default ''. */
  readonly rootId: string;
  /** Plugin configuration as bytes. */
  readonly configuration: string;
  /** Plugin name, for the property `plugin_name`. */
  readonly name: string;
}

/** What an access logger is shown. */
export interface LogRecord {
  readonly requestHeaders: HeaderList;
  /** Default: no answer came. */
  readonly responseHeaders?: HeaderList;
  readonly properties: Properties;
}

/** One configured plugin in one VM: its timer, its HTTP calls, its configuration. */
export class RootContext extends VmContext {
  readonly rootId: string;
  readonly configuration: string;
  readonly pluginName: string;
  /** What `proxy_on_vm_start` and `proxy_on_configure` said; false also when the VM trapped there. */
  configured = false;
  /** All HTTP calls of this root in order, answered or not. */
  readonly httpCalls: HttpCall[] = [];
  /** For `proxy_get_status`. */
  callStatus = { code: 0, message: '' };
  #configuring = false;
  #response: HttpCallResponse | undefined;
  #record: LogRecord | undefined;
  #stopTimer: (() => void) | undefined;
  /** True between an `onDone` that returned false and `proxy_done`. */
  #doneIsPending = false;
  #deleted = false;

  constructor(instance: Instance, options: RootOptions) {
    super(instance, instance.newContextId());
    this.rootId = options.rootId;
    this.configuration = options.configuration;
    this.pluginName = options.name;
    instance.contexts.set(this.id, this);
  }

  override get kind(): string {
    return 'root context';
  }

  override get root(): RootContext {
    return this;
  }

  override property(segments: readonly string[]): string | undefined {
    const logged = this.#record && findProperty(this.#record.properties, segments);
    if (logged !== undefined) return logged;
    if (segments.length !== 1) return undefined;
    switch (segments[0]) {
      case 'plugin_name':
        return this.pluginName;
      case 'plugin_root_id':
        return this.rootId;
      case 'plugin_vm_id':
        return this.instance.vmId;
      default:
        return undefined;
    }
  }

  /** Creates the context in the VM and configures it, in Envoy's order. */
  start(): void {
    const { instance } = this;
    const ask = (name: string, size: number): boolean =>
      instance.callback(this, name, [this.id, size], (result) => !instance.has(name) || (result ?? 0) !== 0);
    instance.callback(this, 'proxy_on_context_create', [this.id, 0], () => undefined);
    if (!ask('proxy_on_vm_start', instance.vmConfiguration.length)) return;
    this.#configuring = true;
    try {
      this.configured = ask('proxy_on_configure', this.configuration.length) && instance.failure === undefined;
    } finally {
      this.#configuring = false;
    }
  }

  /** Period in milliseconds; 0 stops the timer. */
  setTickPeriod(ms: number): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    if (ms > 0) this.#arm(ms);
  }

  /** One tick now, whatever the timer says. */
  tick(): void {
    this.instance.callback(this, 'proxy_on_tick', [this.id], () => undefined);
    this.instance.env.ticked?.(this.instance.label);
  }

  queueReady(token: number): void {
    this.instance.callback(this, 'proxy_on_queue_ready', [this.id, token], () => undefined);
  }

  /** The plugin as an access logger: a stream, or a try of one, is over. */
  log(record: LogRecord): void {
    this.#record = record;
    this.logging = true;
    try {
      this.instance.callback(this, 'proxy_on_log', [this.id], () => undefined);
    } finally {
      this.#record = undefined;
      this.logging = false;
    }
  }

  httpCall(request: ConstructorParameters<typeof HttpCall>[0]): void {
    const call = new HttpCall(request, (response) => {
      cancelTimeout();
      this.instance.env.post(() => this.#onHttpCallResponse(call.token, response));
    });
    const cancelTimeout =
      request.timeoutMs > 0
        ? this.instance.env.clock.after(request.timeoutMs, () => call.timeOut())
        : (): void => undefined;
    this.httpCalls.push(call);
  }

  /** The plugin's configuration is gone: `onDone`, then `onDelete` unless the plugin asked to wait. */
  shutdown(): void {
    const { instance } = this;
    const done = instance.callback(
      this,
      'proxy_on_done',
      [this.id],
      (result) => !instance.has('proxy_on_done') || instance.failure !== undefined || (result ?? 0) !== 0,
    );
    if (done) this.#delete();
    else this.#doneIsPending = true;
  }

  /** `proxy_done`. @returns false when nobody was waiting for it */
  done(): boolean {
    if (!this.#doneIsPending) return false;
    this.#doneIsPending = false;
    this.instance.afterCall(() => this.#delete());
    return true;
  }

  get deleted(): boolean {
    return this.#deleted;
  }

  override readableMap(type: MapType): HeaderMap | undefined {
    const { requestHeaders, responseHeaders } = this.#record ?? {};
    if (type === MapType.RequestHeaders && requestHeaders) return new HeaderMap(requestHeaders);
    if (type === MapType.ResponseHeaders && responseHeaders) return new HeaderMap(responseHeaders);
    if (type === MapType.HttpCallResponseHeaders) return this.#response?.headers;
    if (type === MapType.HttpCallResponseTrailers) return this.#response?.trailers;
    return undefined;
  }

  override buffer(type: BufferType): ContextBuffer | undefined {
    if (type === BufferType.PluginConfiguration && this.#configuring) {
      return { data: this.configuration, mutable: false };
    }
    if (type === BufferType.HttpCallResponseBody && this.#response !== undefined) {
      return { data: this.#response.body, mutable: false };
    }
    return super.buffer(type);
  }

  #arm(ms: number): void {
    this.#stopTimer = this.instance.env.clock.after(ms, () => {
      this.#arm(ms);
      this.tick();
    });
  }

  #onHttpCallResponse(token: number, response: HttpCallResponse | undefined): void {
    if (this.#deleted) return;
    this.#response = response;
    if (response === undefined) this.callStatus = { code: Status.BrokenConnection, message: 'reset' };
    const sizes =
      response === undefined ? [0, 0, 0] : [response.headers.size, response.body.length, response.trailers.size];
    this.instance.callback(this, 'proxy_on_http_call_response', [this.id, token, ...sizes], () => undefined);
    this.#response = undefined;
    this.callStatus = { code: this.callStatus.code, message: '' };
  }

  #delete(): void {
    if (this.#deleted) return;
    this.#deleted = true;
    this.setTickPeriod(0);
    this.instance.callback(this, 'proxy_on_delete', [this.id], () => undefined);
    for (const call of this.httpCalls) call.cancel();
    this.instance.contexts.delete(this.id);
  }
}
