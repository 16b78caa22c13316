/**
 * The suite with a trigger for tests: a request with this header traps the VM, before the suite sees it. The shipped module
 * has no such thing; this entry wraps it from outside.
 */
import '../../filters/suite';
import { ascii, getHeader, MapType, present } from 'proxy-wasm-assemblyscript-sdk';
import { proxy_on_request_headers as serve } from 'proxy-wasm-assemblyscript-sdk/exports/http-request-headers';

const TRIGGER = ascii('x-test-trap');

export function proxy_on_request_headers(id: u32, count: u32, endOfStream: u32): i32 {
  if (present(getHeader(MapType.RequestHeaders, TRIGGER))) unreachable();
  return serve(id, count, endOfStream);
}

export * from 'proxy-wasm-assemblyscript-sdk/exports/core';
export * from 'proxy-wasm-assemblyscript-sdk/exports/log';
export * from 'proxy-wasm-assemblyscript-sdk/exports/timer';
