/**
 * Ways to end a stream early, chosen by the request's path. Twins of Envoy's `close_stream`, `panic` and local-response
 * plugins.
 */
import {
  ascii,
  closeStream,
  equal,
  FilterDataStatus,
  FilterHeadersStatus,
  getHeader,
  HttpPlugin,
  HttpStream,
  logInfo,
  MapType,
  PairWriter,
  register,
  StreamType,
  sendLocalResponse,
  setHeader,
} from 'proxy-wasm-assemblyscript-sdk';
import { show } from './say';

const PATH = ascii(':path');
const STATUS = ascii(':status');
const MARK = ascii('x-mark');
const SEEN = ascii('x-seen-by-response');
const YES = ascii('yes');
const DETAILS = ascii('denied by test');
const BODY = ascii('denied');
const NONE_AT_ALL = ascii('');

function answer(status: u32): void {
  sendLocalResponse(status, DETAILS, BODY, new PairWriter(2).add(MARK, YES).add(MARK, ascii('twice')));
}

class Ends extends HttpStream {
  path: string = '';

  onRequestHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    const path = getHeader(MapType.RequestHeaders, PATH);
    this.path = show(path);
    if (equal(path, ascii('/panic'))) unreachable();
    if (equal(path, ascii('/abort'))) assert(false, 'on purpose');
    if (equal(path, ascii('/close'))) closeStream(StreamType.HttpRequest);
    if (equal(path, ascii('/deny'))) {
      answer(403);
      return FilterHeadersStatus.StopIteration;
    }
    if (equal(path, ascii('/deny-and-continue'))) answer(403);
    if (equal(path, ascii('/deny-empty'))) {
      sendLocalResponse(204, DETAILS, NONE_AT_ALL, null);
      return FilterHeadersStatus.StopIteration;
    }
    if (equal(path, ascii('/grpc'))) {
      sendLocalResponse(200, DETAILS, BODY, null, 5);
      return FilterHeadersStatus.StopIteration;
    }
    return FilterHeadersStatus.Continue;
  }

  onRequestBody(size: u32, endOfStream: bool): FilterDataStatus {
    if (this.path === '"/panic-body"') unreachable();
    if (this.path === '"/deny-body"') {
      answer(413);
      return FilterDataStatus.StopIterationNoBuffer;
    }
    return FilterDataStatus.Continue;
  }

  onResponseHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    logInfo('response ' + show(getHeader(MapType.ResponseHeaders, STATUS)) + ' for ' + this.path);
    if (this.path === '"/panic-response"') unreachable();
    if (this.path === '"/close-response"') closeStream(StreamType.HttpResponse);
    if (this.path === '"/deny-response"') {
      answer(502);
      return FilterHeadersStatus.StopIteration;
    }
    setHeader(MapType.ResponseHeaders, SEEN, YES);
    return FilterHeadersStatus.Continue;
  }

  onResponseBody(size: u32, endOfStream: bool): FilterDataStatus {
    if (endOfStream) logInfo('response body of ' + this.path);
    return FilterDataStatus.Continue;
  }

  onLog(): void {
    logInfo('log ' + this.path + ' ' + show(getHeader(MapType.ResponseHeaders, STATUS)));
  }

  onReset(): void {
    this.path = '';
  }
}

class EndsPlugin extends HttpPlugin {
  createStream(): HttpStream {
    return new Ends();
  }
}

register('ends', () => new EndsPlugin());

export * from 'proxy-wasm-assemblyscript-sdk/exports/core';
export * from 'proxy-wasm-assemblyscript-sdk/exports/http-body';
export * from 'proxy-wasm-assemblyscript-sdk/exports/http-headers';
export * from 'proxy-wasm-assemblyscript-sdk/exports/log';
