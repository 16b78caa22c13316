import { type Bytes, binary } from './bytes.ts';
import type { Environment } from './environment.ts';
import { ImpossibleSequence } from './errors.ts';
import type { HeaderList } from './header-map.ts';
import { HttpStream, type StreamOptions } from './http-stream.ts';
import { type Identity, Instance, type Torture } from './instance.ts';
import type { Properties } from './properties.ts';
import { RootContext } from './root-context.ts';
import { TcpStream } from './tcp-stream.ts';

export interface PluginOptions {
  /** Default ''. */
  readonly rootId?: string;
  /** Bytes, or anything else as JSON text. Default: none. */
  readonly configuration?: unknown;
  /** Default ''. */
  readonly name?: string;
}

/** What to do after a trap: 503 for ever, let requests pass, or start a new VM. */
export type FailurePolicy = 'closed' | 'open' | 'reload';

export interface VmOptions extends PluginOptions {
  /** Shared data and queues belong to it. Default `causeway`. */
  readonly vmId?: string;
  /** `vm_config.configuration`: bytes. Default ''. */
  readonly vmConfiguration?: Bytes;
  /** Name in logs and call records; several workers of one role need several. Default: a running number. */
  readonly label?: string;
  /** Default `closed`, as in Envoy. */
  readonly failurePolicy?: FailurePolicy;
  /** Least age of a VM that is replaced, the first one included. Default 1000. */
  readonly reloadBackoffMs?: number;
  /** See `Torture`; needs a module built with `--exportRuntime`. */
  readonly torture?: boolean | Torture;
}

function configurationBytes(configuration: unknown): string {
  if (configuration === undefined) return '';
  if (typeof configuration === 'string' || configuration instanceof Uint8Array) return binary(configuration);
  return Buffer.from(JSON.stringify(configuration), 'utf8').toString('latin1');
}

/** One VM of one worker, with one or more configured plugins. */
export class Vm {
  readonly #env: Environment;
  #module: WebAssembly.Module;
  readonly #identity: Identity;
  readonly #policy: FailurePolicy;
  readonly #backoffMs: number;
  #plugins: { rootId: string; configuration: string; name: string }[] = [];
  #instance: Instance;
  #roots: RootContext[] = [];
  #lastLoad: bigint;

  /** @throws Refusal when Envoy would not load the module, or the start section misbehaves */
  constructor(env: Environment, module: WebAssembly.Module, options: VmOptions, number: number) {
    this.#env = env;
    this.#module = module;
    this.#identity = {
      label: options.label ?? `vm${number}`,
      vmId: options.vmId ?? 'causeway',
      vmConfiguration: binary(options.vmConfiguration ?? ''),
      torture: options.torture === true ? 'allocator' : options.torture || undefined,
    };
    this.#policy = options.failurePolicy ?? 'closed';
    this.#backoffMs = options.reloadBackoffMs ?? 1000;
    this.#instance = new Instance(env, module, this.#identity);
    this.#lastLoad = env.clock.now;
    this.addPlugin(options);
  }

  /** The running instance; another one after a reload. */
  get instance(): Instance {
    return this.#instance;
  }

  /** Root context of the first plugin. */
  get root(): RootContext {
    const root = this.#roots[0];
    if (root === undefined) throw new ImpossibleSequence('every plugin of this VM was shut down');
    return root;
  }

  /** True when every plugin accepted its configuration. */
  get configured(): boolean {
    return this.#roots.every((root) => root.configured);
  }

  /** Why the VM failed, if it did. */
  get failure(): string | undefined {
    return this.#instance.failure;
  }

  /** A further plugin in the same VM: a root context of its own. */
  addPlugin(options: PluginOptions): RootContext {
    const plugin = {
      rootId: options.rootId ?? '',
      configuration: configurationBytes(options.configuration),
      name: options.name ?? '',
    };
    this.#plugins.push(plugin);
    const root = new RootContext(this.#instance, plugin);
    this.#roots.push(root);
    root.start();
    return root;
  }

  /**
   * A new configuration for the first plugin, as a configuration push does it: a new root context, then the old one
   * ends. The VM keeps its memory. A refused configuration leaves the old root in place.
   */
  reconfigure(configuration: unknown): RootContext {
    const old = this.root;
    const fresh = this.addPlugin({ rootId: old.rootId, name: old.pluginName, configuration });
    const remove = fresh.configured ? old : fresh;
    const index = this.#roots.indexOf(remove);
    this.#roots.splice(index, 1);
    this.#plugins.splice(index, 1);
    if (fresh.configured) {
      this.#roots.unshift(...this.#roots.splice(this.#roots.indexOf(fresh), 1));
      old.shutdown();
    }
    return fresh;
  }

  /** Ends every plugin, as when the last listener that uses the VM is gone. */
  shutdown(): void {
    for (const root of this.#roots.splice(0)) root.shutdown();
  }

  /** A new request. Nothing has happened to it yet: go on with `requestHeaders()`. */
  httpStream(options: StreamOptions & { readonly root?: RootContext } = {}): HttpStream {
    this.#reloadIfDue();
    const root = options.root ?? this.root;
    if (!root.configured && root.instance.failure === undefined) {
      throw new ImpossibleSequence('the plugin refused its configuration: Envoy would not serve with it');
    }
    return new HttpStream(root, options, this.failure !== undefined && this.#policy === 'open');
  }

  /**
   * A whole exchange: request headers, an upstream response unless the plugin answers itself, log, end.
   * @throws ImpossibleSequence when the plugin stops the stream without answering it
   */
  exchange(options: StreamOptions & { readonly response?: HeaderList; readonly root?: RootContext } = {}): HttpStream {
    const stream = this.httpStream(options);
    stream.requestHeaders();
    if (!stream.over) stream.responseHeaders(options.response);
    stream.end();
    return stream;
  }

  /** A new connection through a network filter: go on with `open()`. */
  tcpStream(options: { readonly properties?: Properties; readonly root?: RootContext } = {}): TcpStream {
    this.#reloadIfDue();
    return new TcpStream(options.root ?? this.root, options.properties ?? {});
  }

  #reloadIfDue(): void {
    if (this.failure === undefined || this.#policy !== 'reload') return;
    const { now } = this.#env.clock;
    if (now - this.#lastLoad < BigInt(this.#backoffMs) * 1_000_000n) return;
    this.#lastLoad = now;
    this.#roots = [];
    this.#instance = new Instance(this.#env, this.#module, this.#identity);
    for (const plugin of this.#plugins.splice(0)) this.addPlugin(plugin);
  }
}
