import { Refusal } from './errors.ts';
import type { HostFunctions } from './host-call.ts';

/** Callbacks that the host of ABI 0.2.1 looks up, with their number of parameters. */
const CALLBACKS: Readonly<Record<string, number>> = {
  proxy_abi_version_0_2_1: 0,
  proxy_on_memory_allocate: 1,
  proxy_validate_configuration: 2,
  proxy_on_vm_start: 2,
  proxy_on_configure: 2,
  proxy_on_context_create: 2,
  proxy_on_tick: 1,
  proxy_on_new_connection: 1,
  proxy_on_downstream_data: 3,
  proxy_on_upstream_data: 3,
  proxy_on_downstream_connection_close: 2,
  proxy_on_upstream_connection_close: 2,
  proxy_on_request_headers: 3,
  proxy_on_request_body: 3,
  proxy_on_request_trailers: 2,
  proxy_on_request_metadata: 2,
  proxy_on_response_headers: 3,
  proxy_on_response_body: 3,
  proxy_on_response_trailers: 2,
  proxy_on_response_metadata: 2,
  proxy_on_http_call_response: 5,
  proxy_on_grpc_receive: 3,
  proxy_on_grpc_close: 3,
  proxy_on_grpc_receive_initial_metadata: 3,
  proxy_on_grpc_receive_trailing_metadata: 3,
  proxy_on_queue_ready: 2,
  proxy_on_foreign_function: 3,
  proxy_on_done: 1,
  proxy_on_log: 1,
  proxy_on_delete: 1,
};

/** @throws Refusal when Envoy would not load the module, or would silently never call one of its exports */
export function checkModule(module: WebAssembly.Module, known: Readonly<Record<string, HostFunctions>>): void {
  for (const wanted of WebAssembly.Module.imports(module)) {
    const functions = known[wanted.module];
    if (wanted.kind !== 'function' || functions === undefined || !Object.hasOwn(functions, wanted.name)) {
      throw new Refusal(`unknown import: ${wanted.kind} ${wanted.module}.${wanted.name}`);
    }
  }
  const exports = new Map(WebAssembly.Module.exports(module).map((found) => [found.name, found.kind]));
  if (exports.get('memory') !== 'memory') throw new Refusal('no exported memory');
  if (!exports.has('proxy_abi_version_0_2_1')) throw new Refusal('no export proxy_abi_version_0_2_1');
  if (!exports.has('malloc') && !exports.has('proxy_on_memory_allocate')) {
    throw new Refusal('no export malloc or proxy_on_memory_allocate');
  }
  for (const [name, kind] of exports) {
    if (!name.startsWith('proxy_')) continue;
    if (kind !== 'function' || !Object.hasOwn(CALLBACKS, name)) throw new Refusal(`unknown callback: ${kind} ${name}`);
  }
}

/** @throws Refusal when an exported callback has another number of parameters than the ABI's */
export function checkSignatures(exports: WebAssembly.Exports): void {
  for (const [name, parameters] of Object.entries(CALLBACKS)) {
    const found = exports[name];
    if (typeof found === 'function' && found.length !== parameters) {
      throw new Refusal(`${name} takes ${found.length} parameters, not ${parameters}`);
    }
  }
}
