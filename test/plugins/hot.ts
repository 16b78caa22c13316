/**
 * A request's hot path with everything a filter does there, as two fused parts. It must not allocate once its pools
 * have grown.
 */
import {
  addHeader,
  ascii,
  Counter,
  counter,
  FilterHeadersStatus,
  FusedPlugin,
  Gauge,
  gauge,
  getHeader,
  getPairs,
  getProperty,
  getPropertyU64,
  getShared,
  HttpPlugin,
  HttpStream,
  hash64,
  lastCas,
  lenOf,
  MapType,
  now,
  PairReader,
  PairWriter,
  parseDecimal,
  present,
  propertyPath,
  ptrOf,
  register,
  removeHeader,
  Slice,
  sendLocalResponse,
  setHeader,
  setShared,
  slice,
  trim,
} from 'proxy-wasm-assemblyscript-sdk';

const PATH = ascii(':path');
const ID = ascii('x-request-id');
const LANE = ascii('x-lane');
const COPY = ascii('x-copy');
const DENY = ascii('x-deny');
const KEY = ascii('v1/hot');
const SOURCE = propertyPath('source.address');
const CODE = propertyPath('response.code');
const DETAILS = ascii('denied');

const OUT: usize = memory.data(16, 8);
const reader = new PairReader();
const denial = new PairWriter(4);

let requests: Counter | null = null;
let streams: Gauge | null = null;

class Reads extends HttpStream {
  hash: u64 = 0;

  onRequestHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    const id = trim(getHeader(MapType.RequestHeaders, ID));
    this.hash = hash64(id, now());
    const shared = getShared(KEY);
    store<u64>(OUT, this.hash);
    setShared(KEY, slice(OUT, 8), present(shared) ? lastCas() : 0);
    parseDecimal(getHeader(MapType.RequestHeaders, LANE));
    let bytes = lenOf(getProperty(SOURCE));
    reader.over(getPairs(MapType.RequestHeaders));
    while (reader.next()) bytes += lenOf(reader.name) + lenOf(reader.value);
    requests!.add(bytes > 0 ? 1 : 0);
    return FilterHeadersStatus.Continue;
  }

  onLog(): void {
    if (getPropertyU64(CODE, 0) !== 0) requests!.add(1);
  }

  onReset(): void {
    this.hash = 0;
  }
}

class Writes extends HttpStream {
  onRequestHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    const path = getHeader(MapType.RequestHeaders, PATH);
    streams!.add(1);
    if (present(getHeader(MapType.RequestHeaders, DENY))) {
      sendLocalResponse(403, DETAILS, path, denial.clear().add(COPY, path));
      return FilterHeadersStatus.StopIteration;
    }
    setHeader(MapType.RequestHeaders, LANE, path);
    addHeader(MapType.RequestHeaders, COPY, getHeader(MapType.RequestHeaders, LANE));
    removeHeader(MapType.RequestHeaders, ID);
    return FilterHeadersStatus.Continue;
  }

  onResponseHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    setHeader(MapType.ResponseHeaders, COPY, LANE);
    return FilterHeadersStatus.Continue;
  }

  onLog(): void {
    streams!.add(-1);
  }
}

class ReadsPlugin extends HttpPlugin {
  createStream(): HttpStream {
    return new Reads();
  }
}

class WritesPlugin extends HttpPlugin {
  createStream(): HttpStream {
    return new Writes();
  }
}

class HotPlugin extends FusedPlugin {
  onConfigure(configuration: Slice): bool {
    requests = counter('hot_requests_total');
    streams = gauge('hot_streams');
    this.parts = [new ReadsPlugin(), new WritesPlugin()];
    return ptrOf(configuration) !== 0 || lenOf(configuration) === 0;
  }
}

register('hot', () => new HotPlugin());

export * from 'proxy-wasm-assemblyscript-sdk/exports/core';
export * from 'proxy-wasm-assemblyscript-sdk/exports/http-headers';
export * from 'proxy-wasm-assemblyscript-sdk/exports/log';
export * from 'proxy-wasm-assemblyscript-sdk/exports/timer';
