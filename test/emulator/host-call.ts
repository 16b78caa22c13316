import type { Context } from './context.ts';
import type { Environment } from './environment.ts';
import { Misuse } from './errors.ts';
import type { Instance } from './instance.ts';
import type { CallRecord } from './recorder.ts';
import { nameIn, Status } from './status.ts';

/** One host call in progress: reads arguments from the guest, records them, writes results. */
export class HostCall {
  readonly instance: Instance;
  /** The effective context. */
  readonly context: Context;
  readonly record: CallRecord;

  constructor(instance: Instance, context: Context, record: CallRecord) {
    this.instance = instance;
    this.context = context;
    this.record = record;
  }

  get env(): Environment {
    return this.instance.env;
  }

  /** Bytes argument. */
  bytes(pointer: number, length: number): string {
    const value = this.instance.memory.read(pointer, length);
    this.record.args.push(value);
    return value;
  }

  /** Number argument. */
  number<T extends number | bigint>(value: T): T {
    this.record.args.push(value);
    return value;
  }

  /** Enum argument. @throws Misuse when the table has no such number */
  choice<T extends number>(table: Readonly<Record<string, T>>, value: number): T {
    const name = nameIn(table, value);
    this.record.args.push(name);
    const known = table[name];
    if (known === undefined) throw new Misuse(Status.BadArgument, `no such number: ${value}`);
    return known;
  }

  /** Byte result, placed in memory that the guest allocates. */
  give(data: string, pointerAt: number, sizeAt: number): Status {
    this.record.result = data;
    this.instance.memory.give(data, pointerAt, sizeAt);
    return Status.Ok;
  }

  giveU32(value: number, at: number): Status {
    this.record.result = value;
    this.instance.memory.writeU32(at, value);
    return Status.Ok;
  }

  giveU64(value: bigint, at: number): Status {
    this.record.result = value;
    this.instance.memory.writeU64(at, value);
    return Status.Ok;
  }
}

/** A host function: after the call its 32-bit arguments as unsigned numbers, 64-bit ones as bigint. */
export type HostFunction = (call: HostCall, ...args: never[]) => Status;
export type HostFunctions = Readonly<Record<string, HostFunction>>;
