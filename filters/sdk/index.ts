/**
 * proxy-wasm 0.2.1 for AssemblyScript. A plugin extends `HttpPlugin`, `TcpPlugin` or `RootContext` and registers itself
 * by `register(rootId, factory)`; the entry module re-exports the callbacks it uses from `exports/`.
 */
export * from './abi/types';
export * from './buffer';
export * from './callback';
export * from './context';
export * from './foreign';
export * from './fused';
export * from './headers';
export * from './http-call';
export * from './log';
export * from './metrics';
export * from './pairs';
export * from './properties';
export * from './queue';
export * from './random';
export { register } from './registry';
export * from './shared-data';
export * from './slice';
export * from './stream';
export * from './time';
export * from './vm';
export * from './worker-slot';
