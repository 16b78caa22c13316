/** The strict proxy-wasm 0.2.1 host for tests: a table of contents. */
export { type Bytes, binary, bytesOf, textOf, u32le, u64le, utf8 } from './bytes.ts';
export { Clock } from './clock.ts';
export type { LogLine } from './environment.ts';
export { ImpossibleSequence, Refusal } from './errors.ts';
export type { Fault } from './faults.ts';
export { type HeaderList, HeaderMap } from './header-map.ts';
export { EmulatedHost, type HostOptions } from './host.ts';
export { HttpCall } from './http-call.ts';
export { type ClientResponse, HttpStream, type StreamOptions } from './http-stream.ts';
export type { Torture } from './instance.ts';
export { decodePairs, encodePairs, type Pair } from './pairs.ts';
export type { Properties, Property } from './properties.ts';
export { type CallRecord, describeCall } from './recorder.ts';
export { type LogRecord, RootContext } from './root-context.ts';
export { BufferType, LogLevel, MapType, MetricType, Status, StreamType } from './status.ts';
export { CloseType, TcpStream } from './tcp-stream.ts';
export { type FailurePolicy, type PluginOptions, Vm, type VmOptions } from './vm.ts';
