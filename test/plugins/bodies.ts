/** Twin of Envoy's body plugins, chosen by the request's path: buffers, edits and trailers. */
import {
  appendBuffer,
  ascii,
  BufferType,
  FilterDataStatus,
  FilterHeadersStatus,
  FilterTrailersStatus,
  getBuffer,
  getHeader,
  HttpPlugin,
  HttpStream,
  logInfo,
  MapType,
  prependBuffer,
  register,
  removeHeader,
  setBuffer,
  setHeader,
} from 'proxy-wasm-assemblyscript-sdk';
import { say, show } from './say';

const PATH = ascii(':path');
const LENGTH = ascii('content-length');
const TRAILER = ascii('x-trailer');
const NEW_TRAILER = ascii('x-new-trailer');
const BEFORE = ascii('<');
const AFTER = ascii('>');
const OTHER = ascii('other');

class Bodies extends HttpStream {
  path: string = '';

  onRequestHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    this.path = show(getHeader(MapType.RequestHeaders, PATH));
    removeHeader(MapType.RequestHeaders, LENGTH);
    return FilterHeadersStatus.Continue;
  }

  onRequestBody(size: u32, endOfStream: bool): FilterDataStatus {
    const type = BufferType.HttpRequestBody;
    if (this.path === '"/replace"') {
      if (!endOfStream) return FilterDataStatus.StopIterationAndBuffer;
      logInfo('whole ' + show(getBuffer(type, 0, size)) + ' part ' + show(getBuffer(type, 2, 3)));
      logInfo('past the end ' + show(getBuffer(type, 1000, 10)));
      say('replace the middle', setBuffer(type, 1, 1, OTHER));
      say('replace', setBuffer(type, 0, size, OTHER));
    }
    if (this.path === '"/wrap"' && size > 0) {
      say('prepend', prependBuffer(type, BEFORE));
      say('append', appendBuffer(type, AFTER));
    }
    return FilterDataStatus.Continue;
  }

  onRequestTrailers(count: u32): FilterTrailersStatus {
    logInfo('request trailers ' + count.toString() + ' ' + show(getHeader(MapType.RequestTrailers, TRAILER)));
    say('set', setHeader(MapType.RequestTrailers, NEW_TRAILER, OTHER));
    return FilterTrailersStatus.Continue;
  }

  onResponseHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    removeHeader(MapType.ResponseHeaders, LENGTH);
    return FilterHeadersStatus.Continue;
  }

  onResponseBody(size: u32, endOfStream: bool): FilterDataStatus {
    if (this.path !== '"/wrap"') return FilterDataStatus.Continue;
    if (!endOfStream) return FilterDataStatus.StopIterationAndBuffer;
    say('prepend', prependBuffer(BufferType.HttpResponseBody, BEFORE));
    return FilterDataStatus.Continue;
  }

  onResponseTrailers(count: u32): FilterTrailersStatus {
    logInfo('response trailers ' + show(getHeader(MapType.ResponseTrailers, TRAILER)));
    say('set', setHeader(MapType.ResponseTrailers, NEW_TRAILER, OTHER));
    return FilterTrailersStatus.Continue;
  }

  onReset(): void {
    this.path = '';
  }
}

class BodiesPlugin extends HttpPlugin {
  createStream(): HttpStream {
    return new Bodies();
  }
}

register('bodies', () => new BodiesPlugin());

export * from 'proxy-wasm-assemblyscript-sdk/exports/core';
export * from 'proxy-wasm-assemblyscript-sdk/exports/http-body';
export * from 'proxy-wasm-assemblyscript-sdk/exports/http-headers';
