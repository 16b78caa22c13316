/**
 * Properties: what the host knows of a stream, a connection, a node. A path is its segments separated by NUL.
 * Integers and booleans arrive in little endian, integers as 8 bytes. A missing property is a normal answer.
 * Names: Envoy documentation, "Attributes".
 */
import { proxy_get_property, proxy_set_property } from './abi/imports';
import { OUT, OUT_SIZE, returned } from './abi/out';
import { Status } from './abi/types';
import { ascii, lenOf, NONE, ptrOf, Slice } from './slice';

/** Encodes a path once, for the life of the VM: `propertyPath('source.address')` is `source NUL address`. */
export function propertyPath(dotted: string): Slice {
  return ascii(dotted.replaceAll('.', '\0'));
}

/** The same from segments, where one of them holds a dot (`envoy.lb`). */
export function propertySegments(segments: string[]): Slice {
  return ascii(segments.join('\0'));
}

export function getProperty(path: Slice): Slice {
  if (proxy_get_property(ptrOf(path), lenOf(path), OUT, OUT_SIZE) !== Status.Ok) return NONE;
  return returned();
}

/** An integer, timestamp or duration (nanoseconds); `fallback` when missing or of another size. */
export function getPropertyU64(path: Slice, fallback: u64): u64 {
  const value = getProperty(path);
  return lenOf(value) === 8 ? load<u64>(ptrOf(value)) : fallback;
}

export function getPropertyF64(path: Slice, fallback: f64): f64 {
  const value = getProperty(path);
  return lenOf(value) === 8 ? load<f64>(ptrOf(value)) : fallback;
}

export function getPropertyBool(path: Slice, fallback: bool): bool {
  const value = getProperty(path);
  return lenOf(value) === 1 ? load<u8>(ptrOf(value)) !== 0 : fallback;
}

/** Sets filter state `wasm.<path>`; nothing else can be written from a filter. */
export function setProperty(path: Slice, value: Slice): Status {
  return proxy_set_property(ptrOf(path), lenOf(path), ptrOf(value), lenOf(value));
}
