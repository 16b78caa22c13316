import { type Bytes, binary } from './bytes.ts';
import type { ContextBuffer } from './context.ts';
import { ImpossibleSequence } from './errors.ts';
import { findProperty, type Properties } from './properties.ts';
import type { RootContext } from './root-context.ts';
import { BufferType, StreamType } from './status.ts';
import { VmContext } from './vm-context.ts';

export type TcpAction = 'Continue' | 'StopIteration';

/** Who closed a connection. */
export const CloseType = { Unknown: 0, Local: 1, Remote: 2 } as const;
export type CloseType = (typeof CloseType)[keyof typeof CloseType];

/** One TCP connection through a network filter. */
export class TcpStream extends VmContext {
  readonly #root: RootContext;
  #properties: Properties;
  /** Bytes that went on in each direction. */
  readonly forwarded = { downstream: '', upstream: '' };
  /** Set when the plugin, or its failed VM, closed the connection. */
  closedBy: 'plugin' | 'failure' | undefined;
  override readonly filterState = new Map<string, string>();
  #data: { downstream?: ContextBuffer | undefined; upstream?: ContextBuffer | undefined } = {};
  #stopped = false;
  #downstreamClosed = false;
  #ended = false;

  constructor(root: RootContext, properties: Properties) {
    super(root.instance, root.instance.newContextId());
    this.#root = root;
    this.#properties = properties;
    root.instance.contexts.set(this.id, this);
  }

  override get kind(): string {
    return 'TCP stream';
  }

  override get root(): RootContext {
    return this.#root;
  }

  override property(segments: readonly string[]): string | undefined {
    return findProperty(this.#properties, segments) ?? this.#root.property(segments);
  }

  /** The connection is accepted: `StopIteration` keeps the upstream from being dialled. */
  open(): TcpAction {
    this.instance.callback(this, 'proxy_on_context_create', [this.id, this.#root.id], () => undefined);
    return this.#step('proxy_on_new_connection', [this.id]);
  }

  /** Bytes from the client. */
  downstreamData(data: Bytes, endOfStream = false): TcpAction {
    return this.#deliver('downstream', data, endOfStream);
  }

  /** Bytes from the server. */
  upstreamData(data: Bytes, endOfStream = false): TcpAction {
    const action = this.#deliver('upstream', data, endOfStream);
    if (endOfStream) this.#onUpstreamClose(CloseType.Unknown);
    return action;
  }

  /** The client's side of the connection closes; the context ends with it. */
  close(type: CloseType = CloseType.Remote): void {
    if (this.#downstreamClosed) return;
    this.#downstreamClosed = true;
    this.instance.callback(this, 'proxy_on_downstream_connection_close', [this.id, type], () => undefined);
    this.#end();
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  override buffer(type: BufferType): ContextBuffer | undefined {
    if (type === BufferType.DownstreamData) return this.#data.downstream;
    if (type === BufferType.UpstreamData) return this.#data.upstream;
    return type === BufferType.PluginConfiguration ? undefined : this.#root.buffer(type);
  }

  override continueStream(type: StreamType): void {
    if (type !== StreamType.Downstream) {
      super.continueStream(type);
      return;
    }
    this.instance.afterCall(() => {
      this.#stopped = false;
    });
  }

  override closeStream(type: StreamType): void {
    if (type !== StreamType.Downstream && type !== StreamType.Upstream) {
      super.closeStream(type);
      return;
    }
    this.instance.afterCall(() => {
      this.closedBy ??= 'plugin';
      this.close(CloseType.Local);
    });
  }

  override failStream(): void {
    this.closedBy ??= 'failure';
  }

  #onUpstreamClose(type: CloseType): void {
    this.instance.callback(this, 'proxy_on_upstream_connection_close', [this.id, type], () => undefined);
    if (this.#downstreamClosed) this.#end();
  }

  #deliver(side: 'downstream' | 'upstream', data: Bytes, endOfStream: boolean): TcpAction {
    if (this.#ended) throw new ImpossibleSequence('the connection has ended');
    const buffer: ContextBuffer = { data: binary(data), mutable: true };
    this.#data[side] = buffer;
    const action = this.#step(`proxy_on_${side}_data`, [this.id, buffer.data.length, endOfStream ? 1 : 0]);
    if (action === 'Continue') {
      this.#data[side] = undefined;
      this.forwarded[side] += buffer.data;
    }
    return action;
  }

  #step(name: string, args: readonly number[]): TcpAction {
    return this.instance.callback(this, name, args, (result) => {
      if (this.instance.failure !== undefined) {
        this.failStream();
        return 'StopIteration';
      }
      this.#stopped = (result ?? 0) !== 0;
      return this.#stopped ? 'StopIteration' : 'Continue';
    });
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.instance.callback(this, 'proxy_on_done', [this.id], () => undefined);
    this.logging = true;
    this.instance.callback(this, 'proxy_on_log', [this.id], () => undefined);
    this.logging = false;
    this.instance.callback(this, 'proxy_on_delete', [this.id], () => undefined);
    this.instance.contexts.delete(this.id);
  }
}
