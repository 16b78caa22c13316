/** Reads much in one callback and says what it got: for the limits of the arena. */
import {
  ascii,
  BufferType,
  FilterDataStatus,
  FilterHeadersStatus,
  getBuffer,
  getHeader,
  HttpPlugin,
  HttpStream,
  lenOf,
  logInfo,
  MapType,
  present,
  ptrOf,
  register,
  Slice,
} from 'proxy-wasm-assemblyscript-sdk';

const TIMES = ascii('x-times');
const LARGE = ascii('x-large');

/** Sum of the bytes: all of them must still be there at the end of the callback. */
function sum(s: Slice): u64 {
  let total: u64 = 0;
  for (let i = 0; i < lenOf(s); i++) total += load<u8>(ptrOf(s) + i) as u64;
  return total;
}

class Arena extends HttpStream {
  onRequestHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    const kept: u64[] = [];
    const times = lenOf(getHeader(MapType.RequestHeaders, TIMES));
    for (let i = 0; i < times; i++) {
      const value = getHeader(MapType.RequestHeaders, LARGE);
      if (!present(value)) break;
      kept.push(value);
    }
    let same = true;
    for (let i = 1; i < kept.length; i++) {
      if (sum(kept[i]) !== sum(kept[0]) || ptrOf(kept[i]) === ptrOf(kept[i - 1])) same = false;
    }
    if (times > 0) logInfo('kept ' + kept.length.toString() + (same ? ' same' : ' differ'));
    return FilterHeadersStatus.Continue;
  }

  onRequestBody(size: u32, endOfStream: bool): FilterDataStatus {
    const body = getBuffer(BufferType.HttpRequestBody, 0, size);
    logInfo('body ' + (present(body) ? lenOf(body).toString() + ' sum ' + sum(body).toString() : 'none'));
    return FilterDataStatus.Continue;
  }
}

class ArenaPlugin extends HttpPlugin {
  createStream(): HttpStream {
    return new Arena();
  }
}

register('arena', () => new ArenaPlugin());

export * from 'proxy-wasm-assemblyscript-sdk/exports/core';
export * from 'proxy-wasm-assemblyscript-sdk/exports/http-body';
export * from 'proxy-wasm-assemblyscript-sdk/exports/http-headers';
