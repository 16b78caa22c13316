import type { Context, ContextBuffer, LocalResponse } from './context.ts';
import { Misuse } from './errors.ts';
import type { HeaderMap } from './header-map.ts';
import type { Instance } from './instance.ts';
import type { RootContext } from './root-context.ts';
import { BufferType, type MapType, Status, type StreamType } from './status.ts';

/** Context 0: belongs to no plugin. Also the base of the others: it has nothing, and offers nothing. */
export class VmContext implements Context {
  readonly instance: Instance;
  readonly id: number;
  logging = false;
  readonly filterState: Map<string, string> | undefined = undefined;

  constructor(instance: Instance, id = 0) {
    this.instance = instance;
    this.id = id;
  }

  get kind(): string {
    return 'VM context';
  }

  get root(): RootContext | undefined {
    return undefined;
  }

  property(_segments: readonly string[]): string | undefined {
    return undefined;
  }

  readableMap(_type: MapType): HeaderMap | undefined {
    return undefined;
  }

  writableMap(_type: MapType): HeaderMap | undefined {
    return undefined;
  }

  buffer(type: BufferType): ContextBuffer | undefined {
    if (type !== BufferType.VmConfiguration) return undefined;
    return { data: this.instance.vmConfiguration, mutable: false };
  }

  headersModified(_type: MapType): void {}

  clearRouteCache(): void {}

  continueStream(type: StreamType): void {
    throw new Misuse(Status.Ok, `stream type ${type}: ${this.kind} has no such stream`);
  }

  closeStream(type: StreamType): void {
    throw new Misuse(Status.Ok, `stream type ${type}: ${this.kind} has no such stream`);
  }

  localResponse(_response: LocalResponse): void {
    throw new Misuse(Status.Ok, `${this.kind} has no stream to answer`);
  }

  failStream(): void {}
}
