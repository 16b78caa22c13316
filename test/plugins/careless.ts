/**
 * What not to do: the address of a managed buffer outlives its last reference. Only here to show that the emulator's
 * torture mode finds it.
 */
import {
  FilterHeadersStatus,
  getHeader,
  HttpPlugin,
  HttpStream,
  logInfo,
  MapType,
  register,
  slice,
} from 'proxy-wasm-assemblyscript-sdk';

function encoded(text: string): usize {
  return changetype<usize>(String.UTF8.encode(text));
}

class Careless extends HttpStream {
  onRequestHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    const address = encoded(':path');
    getHeader(MapType.RequestHeaders, slice(address, 5));
    const intact = load<u8>(address) === 0x3a && load<u8>(address, 4) === 0x68;
    logInfo(intact ? 'name intact' : 'name overwritten');
    return FilterHeadersStatus.Continue;
  }
}

class CarelessPlugin extends HttpPlugin {
  createStream(): HttpStream {
    return new Careless();
  }
}

register('careless', () => new CarelessPlugin());

export * from 'proxy-wasm-assemblyscript-sdk/exports/core';
export * from 'proxy-wasm-assemblyscript-sdk/exports/http-headers';
