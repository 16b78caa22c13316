import type { HeaderMap } from './header-map.ts';
import type { Instance } from './instance.ts';
import type { RootContext } from './root-context.ts';
import type { BufferType, MapType, StreamType } from './status.ts';

/** Bytes that a callback may read and, when mutable, edit in place. */
export interface ContextBuffer {
  data: string;
  readonly mutable: boolean;
}

/** What host calls see of the context they act on: the VM itself, a root, an HTTP stream or a TCP connection. */
export interface Context {
  readonly id: number;
  /** In words, for refusals. */
  readonly kind: string;
  readonly instance: Instance;
  /** Undefined for the VM context (id 0) only. */
  readonly root: RootContext | undefined;
  /** During `proxy_on_log` a missing map is "not found" instead of a wrong phase. */
  readonly logging: boolean;
  /** Filter state written by `proxy_set_property`; undefined where there is no stream. */
  readonly filterState: Map<string, string> | undefined;

  /** Bytes of the property at that path, or undefined. */
  property(segments: readonly string[]): string | undefined;
  /** The map to read; undefined when this phase has none. */
  readableMap(type: MapType): HeaderMap | undefined;
  /** The map to change; undefined when this phase has none. */
  writableMap(type: MapType): HeaderMap | undefined;
  buffer(type: BufferType): ContextBuffer | undefined;
  headersModified(type: MapType): void;
  clearRouteCache(): void;
  continueStream(type: StreamType): void;
  closeStream(type: StreamType): void;
  localResponse(response: LocalResponse): void;
  /** Ends the stream because its VM has failed. */
  failStream(): void;
}

/** Arguments of `proxy_send_local_response`. */
export interface LocalResponse {
  readonly status: number;
  readonly details: string;
  readonly body: string;
  readonly headers: readonly (readonly [string, string])[];
  /** gRPC status, -1 when none. */
  readonly grpcStatus: number;
}
