/**
 * Header and trailer maps, as bytes. Names must be lower case. Values that the host returns live until the current
 * callback ends. Of a repeated header Envoy returns the first value only; the property `request.headers.<name>` returns
 * all of them, joined with commas.
 */
import {
  proxy_add_header_map_value,
  proxy_get_header_map_pairs,
  proxy_get_header_map_value,
  proxy_remove_header_map_value,
  proxy_replace_header_map_value,
  proxy_set_header_map_pairs,
} from './abi/imports';
import { OUT, OUT_SIZE, returned } from './abi/out';
import { MapType, Status } from './abi/types';
import { lenOf, NONE, ptrOf, Slice } from './slice';

/** The value, `EMPTY` when present without bytes, `NONE` when absent or out of phase. */
export function getHeader(map: MapType, name: Slice): Slice {
  if (proxy_get_header_map_value(map, ptrOf(name), lenOf(name), OUT, OUT_SIZE) !== Status.Ok) return NONE;
  return returned();
}

/** Sets the header to exactly this value, in place of every value it had. */
export function setHeader(map: MapType, name: Slice, value: Slice): Status {
  return proxy_replace_header_map_value(map, ptrOf(name), lenOf(name), ptrOf(value), lenOf(value));
}

/** Appends a value beside those the header has. */
export function addHeader(map: MapType, name: Slice, value: Slice): Status {
  return proxy_add_header_map_value(map, ptrOf(name), lenOf(name), ptrOf(value), lenOf(value));
}

/** Removes every value; removing an absent header is no error. */
export function removeHeader(map: MapType, name: Slice): Status {
  return proxy_remove_header_map_value(map, ptrOf(name), lenOf(name));
}

/** The whole map in the ABI's pair encoding (see pairs.ts), or `NONE`. Costs a copy of everything: not for hot paths. */
export function getPairs(map: MapType): Slice {
  if (proxy_get_header_map_pairs(map, OUT, OUT_SIZE) !== Status.Ok) return NONE;
  return returned();
}

/** Replaces the whole map by the encoded pairs. */
export function setPairs(map: MapType, pairs: Slice): Status {
  return proxy_set_header_map_pairs(map, ptrOf(pairs), lenOf(pairs));
}
