import type { Context } from './context.ts';
import type { Environment } from './environment.ts';
import { Misuse, Refusal } from './errors.ts';
import { HostCall, type HostFunction, type HostFunctions } from './host-call.ts';
import { HOST_MODULES } from './imports/index.ts';
import { GuestMemory } from './memory.ts';
import { MetricIds } from './metrics.ts';
import { checkModule, checkSignatures } from './module-check.ts';
import type { CallRecord } from './recorder.ts';
import { describeCall } from './recorder.ts';
import { Status } from './status.ts';
import { VmContext } from './vm-context.ts';

/** Host calls allowed in `_initialize` and inside the allocator: Envoy traps on any other one there. */
const ALLOWED_WHEN_RESTRICTED = new Set(['proxy_log', 'random_get']);
const ALLOCATORS = ['malloc', 'proxy_on_memory_allocate'] as const;

interface Frame {
  readonly callback: string;
  readonly context: Context;
  /** Set by `proxy_set_effective_context`; 0 = none. It never outlives the callback. */
  effective: number;
  readonly restricted: boolean;
}

type Export = (...args: number[]) => number | undefined;

/**
 * When to collect garbage. `allocator`: whenever the host wants memory, in the middle of the
 * guest's code, for a runtime that may collect at any time (`incremental`). `callbacks`: after each top-level callback,
 * for one that collects on demand only (`minimal`): it finds what nothing but unmanaged memory refers to.
 */
export type Torture = 'allocator' | 'callbacks';

/** What tells one VM from another. */
export interface Identity {
  readonly label: string;
  readonly vmId: string;
  readonly vmConfiguration: string;
  readonly torture: Torture | undefined;
}

/** One instantiated module: its memory, contexts and the stack of running callbacks. */
export class Instance {
  readonly env: Environment;
  readonly label: string;
  readonly vmId: string;
  readonly vmConfiguration: string;
  readonly memory: GuestMemory;
  readonly metricIds: MetricIds;
  readonly contexts = new Map<number, Context>();
  #torture: Torture | undefined;
  /** Why this VM runs no more code; undefined while it is well. */
  failure: string | undefined;
  #exports: WebAssembly.Exports;
  #frames: Frame[] = [];
  #stopNext = false;
  #afterCall: (() => void)[] = [];
  #nextContextId = 1;
  #nextHttpCall = 0;

  constructor(env: Environment, module: WebAssembly.Module, identity: Identity) {
    this.env = env;
    this.label = identity.label;
    this.vmId = identity.vmId;
    this.vmConfiguration = identity.vmConfiguration;
    this.metricIds = new MetricIds(env.metrics);
    checkModule(module, HOST_MODULES);
    const imports = Object.entries(HOST_MODULES).map(([name, functions]) => [name, this.#imports(functions)]);
    const instance = new WebAssembly.Instance(module, Object.fromEntries(imports));
    this.#exports = instance.exports;
    checkSignatures(instance.exports);
    this.memory = new GuestMemory(instance.exports.memory as WebAssembly.Memory, (size) => this.#allocate(size));
    const vmContext = new VmContext(this);
    this.contexts.set(0, vmContext);
    this.#run(vmContext, '_initialize', [], true);
    if (this.failure !== undefined) throw new Refusal(`_initialize: ${this.failure}`);
    this.#torture = identity.torture;
    if (identity.torture !== undefined && !this.has('__collect')) throw new TypeError('no __collect to torture with');
  }

  has(name: string): boolean {
    return typeof this.#exports[name] === 'function';
  }

  /** Number of global `name`, e.g. a counter that a test build exports. */
  global(name: string): number {
    const found = this.#exports[name];
    if (!(found instanceof WebAssembly.Global)) throw new TypeError(`no exported global ${name}`);
    return Number(found.value);
  }

  /** Calls an export of a test build outside any callback (a hook that makes no host call). */
  invoke(name: string, ...args: number[]): number | undefined {
    const found = this.#exports[name];
    if (typeof found !== 'function') throw new TypeError(`no exported function ${name}`);
    return (found as Export)(...args);
  }

  newContextId(): number {
    return this.#nextContextId++;
  }

  newHttpCallToken(): number {
    this.#nextHttpCall += 4;
    return this.#nextHttpCall;
  }

  /** Calls a `proxy_on_…` export, hands its result to `convert`, then does the actions that the guest deferred. */
  callback<T>(
    context: Context,
    name: string,
    args: readonly number[],
    convert: (result: number | undefined, stopped: boolean) => T,
  ): T {
    const leave = this.env.enter();
    try {
      const converted = convert(this.#run(context, name, args, false), this.#stopNext);
      this.#stopNext = false;
      this.#doAfterCall();
      return converted;
    } finally {
      if (this.#torture === 'callbacks' && this.#frames.length === 0 && this.failure === undefined) this.#collect();
      leave();
    }
  }

  /** Keeps `action` until the running callback has returned. */
  afterCall(action: () => void): void {
    this.#afterCall.push(action);
  }

  /** Whatever the running callback returns, its stream stops (a local response is on its way). */
  stopNextIteration(): void {
    this.#stopNext = true;
  }

  setEffectiveContext(id: number): void {
    const frame = this.#frames.at(-1);
    if (frame !== undefined) frame.effective = id;
  }

  #doAfterCall(): void {
    for (let action = this.#afterCall.shift(); action !== undefined; action = this.#afterCall.shift()) action();
  }

  #run(context: Context, name: string, args: readonly number[], restricted: boolean): number | undefined {
    const found = this.#exports[name];
    if (this.failure !== undefined || typeof found !== 'function') return undefined;
    this.#frames.push({ callback: name, context, effective: 0, restricted });
    try {
      return (found as Export)(...args);
    } catch (error) {
      if (error instanceof Refusal) {
        this.failure = error.message;
        throw error;
      }
      if (!isTrap(error)) throw error;
      this.failure = `${name}: ${error.message}`;
      return undefined;
    } finally {
      this.#frames.pop();
    }
  }

  #allocate(size: number): number {
    const name = ALLOCATORS.find((candidate) => this.has(candidate));
    const vmContext = this.contexts.get(0);
    if (name === undefined || vmContext === undefined) return 0;
    if (this.#torture === 'allocator') this.#collect();
    const pointer = this.#run(vmContext, name, [size], true) ?? 0;
    if (this.failure !== undefined) throw new WebAssembly.RuntimeError(this.failure);
    return pointer >>> 0;
  }

  /** A full collection. A build for torture overwrites what it frees, so that a stale pointer reads other bytes. */
  #collect(): void {
    this.invoke('__collect');
  }

  #imports(functions: HostFunctions): Record<string, WebAssembly.ImportValue> {
    const imports: Record<string, WebAssembly.ImportValue> = {};
    for (const [name, hostFunction] of Object.entries(functions)) {
      imports[name] = (...args: (number | bigint)[]) => this.#dispatch(name, hostFunction, args);
    }
    return imports;
  }

  #dispatch(name: string, hostFunction: HostFunction, args: (number | bigint)[]): Status {
    const frame = this.#frames.at(-1);
    if (frame === undefined) throw new Refusal(`start section: ${name} is called before there is any context`);
    if (frame.restricted && !ALLOWED_WHEN_RESTRICTED.has(name)) {
      throw new Refusal(`${frame.callback}: ${name} is not allowed there (Envoy traps: restricted_callback)`);
    }
    const effective = frame.effective === 0 ? undefined : this.contexts.get(frame.effective);
    const context = effective ?? frame.context;
    const record: CallRecord = {
      vm: this.label,
      callback: frame.callback,
      contextId: frame.context.id,
      name,
      args: [],
      status: Status.Ok,
    };
    const call = new HostCall(this, context, record);
    const fault = this.env.faults.next(name);
    try {
      const unsigned = args.map((arg) => (typeof arg === 'number' ? arg >>> 0 : arg));
      record.status = fault ?? hostFunction(call, ...(unsigned as never[]));
    } catch (error) {
      if (!(error instanceof Misuse)) throw error;
      record.status = error.status;
      if (this.env.strict) {
        throw new Refusal(
          `${frame.callback} of ${context.kind} ${context.id}: ${describeCall(record)}: ${error.message}`,
        );
      }
    }
    this.env.calls.add(record);
    return record.status;
  }
}

/** A stack overflow in wasm code arrives as a RangeError. */
function isTrap(error: unknown): error is Error {
  return error instanceof WebAssembly.RuntimeError || (error instanceof RangeError && /call stack/.test(error.message));
}
