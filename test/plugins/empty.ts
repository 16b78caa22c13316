/**
 * The floor of the bench: what a wasm filter costs before it does anything. No callback is exported, so the host enters
 * the VM for no request; what remains is Envoy's own context for the stream.
 */
import 'proxy-wasm-assemblyscript-sdk/abi/abort';

/** The host looks for this name to learn the ABI's version. */
export function proxy_abi_version_0_2_1(): void {}

export function malloc(size: usize): usize {
  return heap.alloc(size);
}

export function proxy_on_memory_allocate(size: usize): usize {
  return heap.alloc(size);
}
