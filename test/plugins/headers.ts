/**
 * Twin of Envoy's `headers` test plugin: reads, adds, replaces and removes headers of the request and the response, and
 * logs what it saw.
 */
import {
  addHeader,
  ascii,
  FilterHeadersStatus,
  getHeader,
  getProperty,
  HttpPlugin,
  HttpStream,
  logInfo,
  logWarn,
  MapType,
  present,
  propertyPath,
  register,
  removeHeader,
  Slice,
  setHeader,
} from 'proxy-wasm-assemblyscript-sdk';
import { show } from './say';

const PATH = ascii(':path');
const ABSENT = ascii('x-absent');
const ADDED = ascii('x-added');
const REPLACED = ascii('x-replaced');
const REMOVED = ascii('x-removed');
const BYTES = ascii('x-bytes');
const SEEN = ascii('x-seen');
const STATUS = ascii(':status');
const NEW = ascii('new');

/** Names whose repetition Envoy may treat in different ways. */
const REPEATED = ['x-twice', 'x-request-id', 'cookie', 'traceparent', 'user-agent', 'x-forwarded-for', 'content-type'];
const REPEATED_NAMES = REPEATED.map<Slice>((name) => ascii(name));
const REPEATED_PATHS = REPEATED.map<Slice>((name) => propertyPath('request.headers.' + name));

class Headers extends HttpStream {
  onRequestHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    const map = MapType.RequestHeaders;
    logInfo('request ' + show(getHeader(map, PATH)) + ' end ' + (endOfStream ? '1' : '0'));
    logWarn('absent ' + show(getHeader(map, ABSENT)));
    for (let i = 0; i < REPEATED.length; i++) {
      const first = getHeader(map, REPEATED_NAMES[i]);
      if (present(first))
        logInfo(REPEATED[i] + ' first ' + show(first) + ' all ' + show(getProperty(REPEATED_PATHS[i])));
    }
    addHeader(map, ADDED, NEW);
    addHeader(map, ADDED, getHeader(map, PATH));
    setHeader(map, REPLACED, NEW);
    removeHeader(map, REMOVED);
    setHeader(map, SEEN, getHeader(map, BYTES));
    return FilterHeadersStatus.Continue;
  }

  onResponseHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    const map = MapType.ResponseHeaders;
    logInfo('response ' + show(getHeader(map, STATUS)));
    addHeader(map, ADDED, NEW);
    setHeader(map, REPLACED, NEW);
    removeHeader(map, REMOVED);
    return FilterHeadersStatus.Continue;
  }

  onLog(): void {
    logInfo(
      'log ' + show(getHeader(MapType.RequestHeaders, PATH)) + ' ' + show(getHeader(MapType.ResponseHeaders, STATUS)),
    );
  }
}

class HeadersPlugin extends HttpPlugin {
  createStream(): HttpStream {
    return new Headers();
  }
}

register('headers', () => new HeadersPlugin());

export * from 'proxy-wasm-assemblyscript-sdk/exports/core';
export * from 'proxy-wasm-assemblyscript-sdk/exports/http-headers';
export * from 'proxy-wasm-assemblyscript-sdk/exports/log';
