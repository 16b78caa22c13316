/**
 * Contexts: a root context for each plugin configuration in this VM, and under it one stream context for each HTTP
 * request or TCP connection. A plugin registers a factory by its `root_id`.
 */
import { CloseType, FilterDataStatus, FilterHeadersStatus, FilterStatus, FilterTrailersStatus } from './abi/types';
import { Slice } from './slice';

/** One plugin configuration. A singleton (bootstrap extension) is just this. */
export abstract class RootContext {
  id: u32 = 0;
  /** Set to false by `onTick` after a tick too short for housekeeping: metrics are then kept for a later one. */
  housekeeping: bool = true;

  /** The plugin's configuration bytes. False refuses it, after saying why at critical level; nothing may trap. */
  onConfigure(configuration: Slice): bool {
    return true;
  }

  onTick(): void {}

  onQueueReady(queue: u32): void {}

  /** The plugin is an access logger (`envoy.access_loggers.wasm`): one stream's, or one try's, last properties and headers. */
  onLog(): void {}

  /** Asked when the configuration is replaced; false delays the deletion until `proxy_done`. */
  onDone(): bool {
    return true;
  }

  onDelete(): void {}
}

/** State of one stream. Pooled: an object serves one stream after another, so it starts in `onReset`'s state. */
export abstract class StreamContext {
  /** Valid while the stream lives. */
  contextId: u32 = 0;
  /** The pool's link, and where the object goes back to. */
  next: StreamContext | null = null;
  home: StreamPool | null = null;

  /** The stream is over: drop what belongs to it. No host call about the stream is allowed any more. */
  onReset(): void {}
}

export abstract class HttpStream extends StreamContext {
  onRequestHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    return FilterHeadersStatus.Continue;
  }

  onRequestBody(size: u32, endOfStream: bool): FilterDataStatus {
    return FilterDataStatus.Continue;
  }

  onRequestTrailers(count: u32): FilterTrailersStatus {
    return FilterTrailersStatus.Continue;
  }

  onResponseHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    return FilterHeadersStatus.Continue;
  }

  onResponseBody(size: u32, endOfStream: bool): FilterDataStatus {
    return FilterDataStatus.Continue;
  }

  onResponseTrailers(count: u32): FilterTrailersStatus {
    return FilterTrailersStatus.Continue;
  }

  /** The stream has ended, also by a reset: request, response and stream properties can be read for the last time. */
  onLog(): void {}
}

export abstract class TcpStream extends StreamContext {
  onNewConnection(): FilterStatus {
    return FilterStatus.Continue;
  }

  onDownstreamData(size: u32, endOfStream: bool): FilterStatus {
    return FilterStatus.Continue;
  }

  onUpstreamData(size: u32, endOfStream: bool): FilterStatus {
    return FilterStatus.Continue;
  }

  onDownstreamClose(by: CloseType): void {}

  onUpstreamClose(by: CloseType): void {}

  onLog(): void {}
}

/** Stream objects of one plugin that wait for their next stream. It grows to the most that were ever alive at once. */
@final
export class StreamPool {
  private free: StreamContext | null = null;

  take(): StreamContext | null {
    const stream = this.free;
    if (stream !== null) {
      this.free = stream.next;
      stream.next = null;
    }
    return stream;
  }

  give(stream: StreamContext): void {
    stream.next = this.free;
    this.free = stream;
  }
}

/** A plugin that has streams. */
export abstract class StreamPlugin extends RootContext {
  private pool: StreamPool = new StreamPool();

  /** A new object for the pool; not called per stream. */
  abstract createStream(): StreamContext;

  /** An object for a stream that starts. */
  open(contextId: u32): StreamContext {
    const pooled = this.pool.take();
    const stream = pooled !== null ? pooled : this.createStream();
    stream.home = this.pool;
    stream.contextId = contextId;
    return stream;
  }
}

export abstract class HttpPlugin extends StreamPlugin {
  abstract createStream(): HttpStream;
}

export abstract class TcpPlugin extends StreamPlugin {
  abstract createStream(): TcpStream;
}
