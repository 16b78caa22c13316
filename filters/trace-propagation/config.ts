import { byteAt, lenOf, lower, persist, ptrOf, Slice } from 'proxy-wasm-assemblyscript-sdk';
import { equalsText, Json } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { TraceFormat } from './trace-id';

/** The configuration in compiled form. Sources are parallel arrays: header name and format. */
@final
export class TraceConfig {
  inbound: bool = false;
  baggage: bool = false;
  tagHeader: Slice = 0;
  names: StaticArray<u64> = new StaticArray<u64>(0);
  formats: StaticArray<i32> = new StaticArray<i32>(0);
  /** Map size as a power of two. */
  sizeLog2: i32 = 16;
  ttlMs: u32 = 30_000;
  pinMs: u32 = 600_000;
  /** One id in this many is watched for leaks; 0 = none. */
  leakSample: u32 = 16;
  baggageKey: Slice = 0;
}

/** Compiles a section that the schema has accepted, defaults filled in; nothing is left to refuse. */
export function compileConfig(section: Json): TraceConfig {
  const config = new TraceConfig();
  config.inbound = is(section, 'direction', 'inbound');
  config.baggage = is(section, 'mode', 'baggage');
  config.tagHeader = lowerCase(section.textOf('tagHeader'));
  const sources = section.itemsOf('sources');
  config.names = new StaticArray<u64>(sources.length);
  config.formats = new StaticArray<i32>(sources.length);
  for (let i = 0; i < sources.length; i++) {
    const name = lowerCase(sources[i].textOf('header'));
    config.names[i] = name;
    config.formats[i] = formatOf(sources[i], name);
  }
  config.sizeLog2 = 31 - clz(section.numberOf('entries', 65536) as i32);
  config.ttlMs = (section.numberOf('ttlSeconds', 30) as u32) * 1000;
  config.pinMs = (section.numberOf('maxPinSeconds', 600) as u32) * 1000;
  config.leakSample = section.numberOf('leakSample', 16) as u32;
  config.baggageKey = persist(section.textOf('baggageKey'));
  return config;
}

function is(section: Json, key: string, value: string): bool {
  const found = section.get(key);
  return found !== null && found.is(value);
}

export function formatOf(source: Json, name: Slice): TraceFormat {
  const explicit = source.textOf('format');
  const word = lenOf(explicit) > 0 ? explicit : name;
  if (equalsText(word, 'traceparent')) return TraceFormat.Traceparent;
  if (equalsText(word, 'b3')) return TraceFormat.B3;
  if (equalsText(word, 'b3-traceid') || (word === name && equalsText(word, 'x-b3-traceid')))
    return TraceFormat.B3TraceId;
  if (equalsText(word, 'sw8')) return TraceFormat.Sw8;
  if (equalsText(word, 'uber-trace-id')) return TraceFormat.UberTraceId;
  return TraceFormat.Plain;
}

/** A permanent copy in lower case, as the host wants header names. */
export function lowerCase(name: Slice): Slice {
  const result = persist(name);
  for (let i = 0; i < lenOf(result); i++) store<u8>(ptrOf(result) + i, lower(byteAt(result, i)));
  return result;
}
