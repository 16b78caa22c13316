import { readFile } from 'node:fs/promises';
import { Clock } from './clock.ts';
import type { Environment, LogLine } from './environment.ts';
import { Faults } from './faults.ts';
import { ForeignFunctions } from './foreign.ts';
import { MetricStore } from './metrics.ts';
import { Recorder } from './recorder.ts';
import { SharedData } from './shared-data.ts';
import { SharedQueues } from './shared-queue.ts';
import { LogLevel } from './status.ts';
import { Vm, type VmOptions } from './vm.ts';

export interface HostOptions {
  /** Default true: misuse throws. False: the guest gets the status that Envoy would give. */
  readonly strict?: boolean;
  /** Clusters that exist. Default: every name does. */
  readonly clusters?: readonly string[];
  /** Least level that is logged. Default Info, Envoy's default. */
  readonly logLevel?: LogLevel;
  /** Keep call records (default true); off for fuzzing: counts remain. */
  readonly record?: boolean;
}

/**
 * One emulated Envoy process: VMs of any role and worker on one shared data, one set of metrics, one clock.
 *
 *     const host = await EmulatedHost.load('build/causeway.wasm');
 *     const vm = host.vm({ vmConfiguration: 'inbound', rootId: 'causeway', configuration: { … } });
 *     const s = vm.httpStream({ requestHeaders: [[':path', '/reviews/0'], ['x-request-id', 'a']] });
 *     s.requestHeaders();                      // 'Continue'
 *     s.requestHeaderMap.get('x-tag');         // what goes upstream
 *     s.responseHeaders([[':status', '200']]);
 *     s.end();                                 // log, done, delete
 *     host.calls.count('proxy_get_shared_data');
 */
export class EmulatedHost implements Environment {
  readonly strict: boolean;
  readonly clock = new Clock();
  readonly sharedData = new SharedData();
  readonly queues = new SharedQueues();
  readonly metrics = new MetricStore();
  readonly calls = new Recorder();
  readonly faults = new Faults();
  readonly foreign = new ForeignFunctions();
  readonly logs: LogLine[] = [];
  readonly clusters: ReadonlySet<string> | undefined;
  logLevel: LogLevel;
  ticked: ((vm: string) => void) | undefined;
  readonly #module: WebAssembly.Module;
  #vms = 0;
  #depth = 0;
  #posted: (() => void)[] = [];
  #randomState = 0x9e3779b9;

  /** @throws WebAssembly.CompileError when the bytes are not a valid module */
  constructor(bytes: Uint8Array<ArrayBuffer>, options: HostOptions = {}) {
    this.#module = new WebAssembly.Module(bytes);
    this.strict = options.strict ?? true;
    this.clusters = options.clusters === undefined ? undefined : new Set(options.clusters);
    this.logLevel = options.logLevel ?? LogLevel.Info;
    this.calls.keep = options.record ?? true;
  }

  /** @param path of a `.wasm` file */
  static async load(path: string, options: HostOptions = {}): Promise<EmulatedHost> {
    return new EmulatedHost(new Uint8Array(await readFile(path)), options);
  }

  /**
   * A VM with one configured plugin. Look at `vm.configured`: a refused configuration is no exception.
   * @throws Refusal when Envoy would not load the module
   */
  vm(options: VmOptions = {}): Vm {
    return new Vm(this, this.#module, options, ++this.#vms);
  }

  /** Messages of `level` and above. */
  messages(level: LogLevel = LogLevel.Trace): string[] {
    return this.logs.filter((line) => line.level >= level).map((line) => line.message);
  }

  random(size: number): string {
    let bytes = '';
    for (let i = 0; i < size; i++) {
      // xorshift32
      this.#randomState ^= this.#randomState << 13;
      this.#randomState ^= this.#randomState >>> 17;
      this.#randomState ^= this.#randomState << 5;
      bytes += String.fromCharCode(this.#randomState & 0xff);
    }
    return bytes;
  }

  post(action: () => void): void {
    this.#posted.push(action);
    if (this.#depth === 0) this.#runPosted();
  }

  enter(): () => void {
    this.#depth++;
    return () => {
      this.#depth--;
      if (this.#depth === 0) this.#runPosted();
    };
  }

  #runPosted(): void {
    for (let action = this.#posted.shift(); action !== undefined; action = this.#posted.shift()) action();
  }
}
