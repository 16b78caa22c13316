import { Misuse } from '../errors.ts';
import { checkHeader, type HeaderMap } from '../header-map.ts';
import type { HostCall, HostFunctions } from '../host-call.ts';
import { decodePairs, encodePairs } from '../pairs.ts';
import { MapType, nameIn, Status } from '../status.ts';

function readable(call: HostCall, number: number): HeaderMap | undefined {
  const type = call.choice(MapType, number);
  const map = call.context.readableMap(type);
  if (map === undefined && !call.context.logging) {
    throw new Misuse(Status.BadArgument, `no ${nameIn(MapType, type)} in this phase`);
  }
  return map;
}

function change(call: HostCall, number: number, apply: (map: HeaderMap) => void): Status {
  const type = call.choice(MapType, number);
  const map = call.context.writableMap(type);
  if (map === undefined) throw new Misuse(Status.BadArgument, `no ${nameIn(MapType, type)} to change in this phase`);
  apply(map);
  call.context.headersModified(type);
  return Status.Ok;
}

export const headerFunctions: HostFunctions = {
  proxy_get_header_map_value(call, type: number, key: number, keySize: number, valueAt: number, sizeAt: number) {
    const map = readable(call, type);
    const value = map?.first(call.bytes(key, keySize));
    return value === undefined ? Status.NotFound : call.give(value, valueAt, sizeAt);
  },

  proxy_add_header_map_value(call, type: number, key: number, keySize: number, value: number, valueSize: number) {
    return change(call, type, (map) => {
      const [name, bytes] = [call.bytes(key, keySize), call.bytes(value, valueSize)];
      checkHeader(name, bytes);
      map.add(name, bytes);
    });
  },

  proxy_replace_header_map_value(call, type: number, key: number, keySize: number, value: number, valueSize: number) {
    return change(call, type, (map) => {
      const [name, bytes] = [call.bytes(key, keySize), call.bytes(value, valueSize)];
      checkHeader(name, bytes);
      map.set(name, bytes);
    });
  },

  proxy_remove_header_map_value(call, type: number, key: number, keySize: number) {
    return change(call, type, (map) => map.remove(call.bytes(key, keySize)));
  },

  proxy_get_header_map_pairs(call, type: number, pointerAt: number, sizeAt: number) {
    const pairs = call.context.readableMap(call.choice(MapType, type))?.pairs() ?? [];
    return call.give(pairs.length === 0 ? '' : encodePairs(pairs), pointerAt, sizeAt);
  },

  proxy_set_header_map_pairs(call, type: number, pointer: number, size: number) {
    return change(call, type, (map) => {
      const pairs = decodePairs(call.bytes(pointer, size));
      if (pairs === undefined) throw new Misuse(Status.Ok, 'the pairs are not of the ABI’s layout: Envoy sees none');
      for (const [name, value] of pairs) checkHeader(name, value);
      map.replaceAll(pairs);
    });
  },

  proxy_get_header_map_size(call, type: number, sizeAt: number) {
    const name = call.choice(MapType, type);
    const map = call.context.writableMap(name);
    if (map === undefined) throw new Misuse(Status.BadArgument, `no ${nameIn(MapType, name)} in this phase`);
    return call.giveU32(map.byteSize, sizeAt);
  },
};
