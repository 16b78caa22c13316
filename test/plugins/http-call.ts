/**
 * Twin of Envoy's `async_call` and `resume_call` plugins: a request waits for the answer of another service, which then
 * shows up in a header of the request.
 */
import {
  addHeader,
  ascii,
  callBody,
  continueRequest,
  EMPTY,
  FilterHeadersStatus,
  getHeader,
  HttpCallHandler,
  HttpPlugin,
  HttpStream,
  httpCall,
  logInfo,
  MapType,
  PairWriter,
  present,
  register,
  Slice,
  Status,
  setEffectiveContext,
} from 'proxy-wasm-assemblyscript-sdk';
import { say, show } from './say';

const METHOD = ascii(':method');
const PATH = ascii(':path');
const AUTHORITY = ascii(':authority');
const POST = ascii('POST');
const HOST = ascii('foo');
const WEB = ascii('web');
const NO_CLUSTER = ascii('no such cluster');
const BODY = ascii('resume');
const VERDICT = ascii('x-verdict');
const FROM = ascii('x-from');

let plugin: u32 = 0;

/** Waits for the answer to one stream's question. */
class Waiting extends HttpCallHandler {
  /** The object is pooled: only together with the id that it had when it asked does it name the stream. */
  private asker: u32;

  constructor(private stream: HttpCall) {
    super();
    this.asker = stream.contextId;
  }

  onAnswer(status: u32, bodySize: u32): void {
    const verdict = callBody(0, bodySize);
    logInfo('answer ' + status.toString() + ' ' + show(verdict));
    logInfo('from ' + show(getHeader(MapType.HttpCallResponseHeaders, FROM)));
    if (this.stream.contextId !== this.asker) return;
    setEffectiveContext(this.asker);
    if (present(verdict)) addHeader(MapType.RequestHeaders, VERDICT, verdict);
    continueRequest();
    setEffectiveContext(plugin);
  }
}

class HttpCall extends HttpStream {
  onRequestHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    const headers = new PairWriter(4);
    say('without headers', httpCall(plugin, WEB, headers, EMPTY, 1000, new Waiting(this)));
    headers.add(METHOD, POST).add(PATH, getHeader(MapType.RequestHeaders, PATH)).add(AUTHORITY, HOST);
    say('to nowhere', httpCall(plugin, NO_CLUSTER, headers, BODY, 1000, new Waiting(this)));
    const status = httpCall(plugin, WEB, headers, BODY, 1000, new Waiting(this));
    say('to web', status);
    if (status !== Status.Ok) return FilterHeadersStatus.Continue;
    return FilterHeadersStatus.StopIteration;
  }

  onReset(): void {
    logInfo('reset');
  }
}

class HttpCallPlugin extends HttpPlugin {
  onConfigure(configuration: Slice): bool {
    plugin = this.id;
    return true;
  }

  createStream(): HttpStream {
    return new HttpCall();
  }
}

register('http-call', () => new HttpCallPlugin());

export * from 'proxy-wasm-assemblyscript-sdk/exports/core';
export * from 'proxy-wasm-assemblyscript-sdk/exports/http-call';
export * from 'proxy-wasm-assemblyscript-sdk/exports/http-headers';
