/**
 * Numbers of the proxy-wasm 0.2.1 ABI, as the host of Envoy 1.40 uses them.
 * Source: proxy-wasm specification v0.2.1 and proxy-wasm-cpp-host.
 */

/** Result of every host call. */
export const Status = {
  Ok: 0,
  NotFound: 1,
  BadArgument: 2,
  SerializationFailure: 3,
  ParseFailure: 4,
  BadExpression: 5,
  InvalidMemoryAccess: 6,
  Empty: 7,
  CasMismatch: 8,
  ResultMismatch: 9,
  InternalFailure: 10,
  BrokenConnection: 11,
  Unimplemented: 12,
} as const;
export type Status = (typeof Status)[keyof typeof Status];

/** Header, trailer and metadata maps. 4 and 5 belong to gRPC calls, which the emulator does not offer. */
export const MapType = {
  RequestHeaders: 0,
  RequestTrailers: 1,
  ResponseHeaders: 2,
  ResponseTrailers: 3,
  GrpcReceiveInitialMetadata: 4,
  GrpcReceiveTrailingMetadata: 5,
  HttpCallResponseHeaders: 6,
  HttpCallResponseTrailers: 7,
} as const;
export type MapType = (typeof MapType)[keyof typeof MapType];

export const BufferType = {
  HttpRequestBody: 0,
  HttpResponseBody: 1,
  DownstreamData: 2,
  UpstreamData: 3,
  HttpCallResponseBody: 4,
  GrpcReceiveBuffer: 5,
  VmConfiguration: 6,
  PluginConfiguration: 7,
  CallData: 8,
} as const;
export type BufferType = (typeof BufferType)[keyof typeof BufferType];

export const StreamType = { Request: 0, Response: 1, Downstream: 2, Upstream: 3 } as const;
export type StreamType = (typeof StreamType)[keyof typeof StreamType];

export const MetricType = { Counter: 0, Gauge: 1, Histogram: 2 } as const;
export type MetricType = (typeof MetricType)[keyof typeof MetricType];

export const LogLevel = { Trace: 0, Debug: 1, Info: 2, Warn: 3, Error: 4, Critical: 5 } as const;
export type LogLevel = (typeof LogLevel)[keyof typeof LogLevel];

/** What a headers callback may return; the index is the number. */
export const HEADER_ACTIONS = [
  'Continue',
  'StopIteration',
  'ContinueAndEndStream',
  'StopAllIterationAndBuffer',
  'StopAllIterationAndWatermark',
] as const;
/** What a body callback may return. */
export const BODY_ACTIONS = [
  'Continue',
  'StopIterationAndBuffer',
  'StopIterationAndWatermark',
  'StopIterationNoBuffer',
] as const;
/** What a trailers callback may return. */
export const TRAILER_ACTIONS = ['Continue', 'StopIteration'] as const;

export type HeaderAction = (typeof HEADER_ACTIONS)[number];
export type BodyAction = (typeof BODY_ACTIONS)[number];
export type TrailerAction = (typeof TRAILER_ACTIONS)[number];

const NAMES = new WeakMap<object, Map<number, string>>();

/** Name of `value` in one of the tables above, or the number itself when it has none. */
export function nameIn(table: Readonly<Record<string, number>>, value: number): string {
  let names = NAMES.get(table);
  if (names === undefined) {
    names = new Map(Object.entries(table).map(([name, number]) => [number, name]));
    NAMES.set(table, names);
  }
  return names.get(value) ?? String(value);
}
