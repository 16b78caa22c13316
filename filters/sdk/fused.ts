/**
 * Several filters in one HTTP context: the host crosses into the module once per callback, however many filters are on.
 * Request callbacks run in the given order, response callbacks and the log in reverse, like a chain of filters. A part
 * that stops the iteration ends the walk; it must therefore have answered the request or be the one to resume it.
 */
import { FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus } from './abi/types';
import { HttpPlugin, HttpStream } from './context';

/** Subclasses fill `parts` while they are configured. */
export abstract class FusedPlugin extends HttpPlugin {
  protected parts: Array<HttpPlugin> = [];

  createStream(): HttpStream {
    const streams = new StaticArray<HttpStream>(this.parts.length);
    for (let i = 0; i < streams.length; i++) streams[i] = this.parts[i].createStream();
    return new FusedStream(streams);
  }

  onTick(): void {
    for (let i = 0; i < this.parts.length; i++) this.parts[i].onTick();
  }

  onDelete(): void {
    for (let i = 0; i < this.parts.length; i++) this.parts[i].onDelete();
  }
}

@final
export class FusedStream extends HttpStream {
  constructor(private parts: StaticArray<HttpStream>) {
    super();
  }

  onRequestHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    for (let i = 0; i < this.parts.length; i++) {
      const part = unchecked(this.parts[i]);
      part.contextId = this.contextId;
      const status = part.onRequestHeaders(count, endOfStream);
      if (status !== FilterHeadersStatus.Continue) return status;
    }
    return FilterHeadersStatus.Continue;
  }

  onRequestBody(size: u32, endOfStream: bool): FilterDataStatus {
    for (let i = 0; i < this.parts.length; i++) {
      const status = unchecked(this.parts[i]).onRequestBody(size, endOfStream);
      if (status !== FilterDataStatus.Continue) return status;
    }
    return FilterDataStatus.Continue;
  }

  onRequestTrailers(count: u32): FilterTrailersStatus {
    for (let i = 0; i < this.parts.length; i++) {
      const status = unchecked(this.parts[i]).onRequestTrailers(count);
      if (status !== FilterTrailersStatus.Continue) return status;
    }
    return FilterTrailersStatus.Continue;
  }

  onResponseHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    for (let i = this.parts.length - 1; i >= 0; i--) {
      const status = unchecked(this.parts[i]).onResponseHeaders(count, endOfStream);
      if (status !== FilterHeadersStatus.Continue) return status;
    }
    return FilterHeadersStatus.Continue;
  }

  onResponseBody(size: u32, endOfStream: bool): FilterDataStatus {
    for (let i = this.parts.length - 1; i >= 0; i--) {
      const status = unchecked(this.parts[i]).onResponseBody(size, endOfStream);
      if (status !== FilterDataStatus.Continue) return status;
    }
    return FilterDataStatus.Continue;
  }

  onResponseTrailers(count: u32): FilterTrailersStatus {
    for (let i = this.parts.length - 1; i >= 0; i--) {
      const status = unchecked(this.parts[i]).onResponseTrailers(count);
      if (status !== FilterTrailersStatus.Continue) return status;
    }
    return FilterTrailersStatus.Continue;
  }

  onLog(): void {
    for (let i = this.parts.length - 1; i >= 0; i--) unchecked(this.parts[i]).onLog();
  }

  onReset(): void {
    for (let i = 0; i < this.parts.length; i++) unchecked(this.parts[i]).onReset();
  }
}
