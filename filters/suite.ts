import { HttpPlugin, HttpStream, FilterHeadersStatus, MapType, getHeader, setHeader, ascii, register, now, counter, FusedPlugin, Slice, TcpStream, WorkerSlot, updateShared,httpCall } from 'proxy-wasm-assemblyscript-sdk';
const H = ascii('x-a');
class S extends HttpStream { onRequestHeaders(c: u32, e: bool): FilterHeadersStatus { setHeader(MapType.RequestHeaders, H, getHeader(MapType.RequestHeaders, H)); now(); return FilterHeadersStatus.Continue; } }
class P extends HttpPlugin { createStream(): HttpStream { return new S(); } }
class F extends FusedPlugin { onConfigure(b: Slice): bool { this.parts.push(new P()); counter('x').add(1); return true; } }
register('causeway', () => new F());
export * from 'proxy-wasm-assemblyscript-sdk/exports/core';
export * from 'proxy-wasm-assemblyscript-sdk/exports/http-headers';
export * from 'proxy-wasm-assemblyscript-sdk/exports/timer';
export * from 'proxy-wasm-assemblyscript-sdk/exports/log';
export * from 'proxy-wasm-assemblyscript-sdk/exports/http-call';
export * from 'proxy-wasm-assemblyscript-sdk/exports/tcp';
