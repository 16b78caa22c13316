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

let kept: usize = 0;

function encoded(text: string): usize {
  return changetype<usize>(String.UTF8.encode(text));
}

function say(what: string, address: usize): void {
  const intact = load<u8>(address) === 0x3a && load<u8>(address, 4) === 0x68;
  logInfo(what + (intact ? ' intact' : ' overwritten'));
}

class Careless extends HttpStream {
  onRequestHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    const address = encoded(':path');
    kept = encoded(':path');
    getHeader(MapType.RequestHeaders, slice(address, 5));
    say('name', address);
    return FilterHeadersStatus.Continue;
  }

  onResponseHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    say('kept', kept);
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
