import { readFile } from 'node:fs/promises';
import { type ASUtil, instantiateSync } from '@assemblyscript/loader';
import { compilePlugin } from '../support/compile-plugin.ts';

/** What `policy/index.ts` exports. Slices are pointer and length in one 64-bit number; references are addresses. */
interface PolicyExports extends Record<string, unknown> {
  _initialize(): void;
  room(size: number): number;
  isLabelValue(value: bigint): number;
  traceIdOf(format: number, value: bigint): bigint;
  stickyHash(id: bigint, seed: bigint): bigint;
  sipHash128(text: bigint, k0: bigint, k1: bigint): void;
  sipLow(): bigint;
  sipHigh(): bigint;
  chainList(lanes: number, closed: boolean, instance: number, stages: number, shard: number): bigint;
  share(percent: number, name: number): number;
  shareDraws(share: number, sticky: bigint): number;
  sharePick(share: number, sticky: bigint, bound: number): number;
  rule(matcher: number, name: number): number;
  ruleDraws(rule: number, sticky: bigint): number;
  mapCreate(sizeLog2: number, ttl: number, k0: bigint, k1: bigint): void;
  mapLearn(id: bigint, tag: bigint, now: number): number;
  mapFind(id: bigint, now: number): bigint;
  mapTouch(id: bigint, now: number): number;
  mapRelease(id: bigint, now: number, begin: number, lease: number): number;
  mapRenew(id: bigint, now: number, lease: number): number;
}

/** Bytes for one argument: more than any header that Envoy lets through. */
const ROOM = 128 * 1024;
const NONE = 0xffff_ffff_ffff_ffffn;

/** The pure parts of the filters, instantiated by AssemblyScript's own loader. Texts are binary strings. */
export class PolicyModule {
  readonly exports: ASUtil & PolicyExports;
  readonly #memory: WebAssembly.Memory;
  readonly #rooms: readonly number[];

  private constructor(bytes: Uint8Array<ArrayBuffer>) {
    const imports: Record<string, Record<string, unknown>> = {
      env: {
        // Only an abort logs.
        proxy_log: (_level: number, at: number, size: number): never => {
          throw new Error(Buffer.from(this.#memory.buffer, at, size).toString());
        },
      },
    };
    const { exports } = instantiateSync<PolicyExports>(bytes, imports);
    if (exports.memory === undefined) throw new TypeError('the policy build exports no memory');
    this.exports = exports;
    this.#memory = exports.memory;
    exports._initialize();
    this.#rooms = [exports.room(ROOM), exports.room(ROOM)];
  }

  static async load(): Promise<PolicyModule> {
    const path = await compilePlugin('test/fuzz/policy/index.ts', { exportRuntime: true });
    return new PolicyModule(new Uint8Array(await readFile(path)));
  }

  /** Puts the bytes of argument number `index` into the module. They stay until the next call with this number. */
  give(text: string, index = 0): bigint {
    const at = this.#rooms[index];
    if (at === undefined || text.length > ROOM) throw new RangeError(`no room for ${text.length} bytes`);
    Buffer.from(this.#memory.buffer, at, text.length).write(text, 'latin1');
    return (BigInt(at) << 32n) | BigInt(text.length);
  }

  /** The bytes of a slice that the module answered; undefined for "no value". */
  take(slice: bigint): string | undefined {
    const unsigned = BigInt.asUintN(64, slice);
    if (unsigned === NONE) return undefined;
    return Buffer.from(this.#memory.buffer, Number(unsigned >> 32n), Number(unsigned & 0xffff_ffffn)).toString(
      'latin1',
    );
  }

  /** A managed string that the collector leaves alone. */
  string(text: string): number {
    return this.exports.__pin(this.exports.__newString(text));
  }

  /** Calls `use` with managed strings that live as long as the call. */
  withStrings<T>(texts: readonly string[], use: (...strings: number[]) => T): T {
    const strings = texts.map((text) => this.string(text));
    try {
      return use(...strings);
    } finally {
      for (const string of strings) this.exports.__unpin(string);
    }
  }
}
