/**
 * Exports that every module needs: ABI version, allocator, contexts, configuration. An entry module re-exports them
 * together with the callbacks that its plugins use, and only those: the host calls what is exported, and an exported
 * callback that does nothing costs about as much as a filter's work.
 */

import '../abi/abort';
import { BufferType } from '../abi/types';
import { allocate } from '../arena';
import { getBuffer } from '../buffer';
import { enter, leave } from '../callback';
import { collectNow } from '../garbage';
import { forgetCalls } from '../http-call';
import { refreshLogLevel } from '../log';
import { createContext, deleteContext, rootOf } from '../registry';
import { EMPTY, NONE } from '../slice';
import { setVmConfiguration } from '../vm';

/** The host looks for this name to learn the ABI's version. */
export function proxy_abi_version_0_2_1(): void {}

/** Where the host gets memory for what it returns. Older hosts look for `malloc`. */
export function proxy_on_memory_allocate(size: usize): usize {
  return allocate(size);
}

export function malloc(size: usize): usize {
  return allocate(size);
}

export function proxy_on_vm_start(rootId: u32, configurationSize: u32): u32 {
  enter();
  setVmConfiguration(configurationSize === 0 ? EMPTY : getBuffer(BufferType.VmConfiguration, 0, configurationSize));
  leave();
  return 1;
}

export function proxy_on_context_create(id: u32, parent: u32): void {
  enter();
  createContext(id, parent);
  leave();
}

/** 0 refuses the configuration; Envoy then refuses to start, or keeps the plugin that it has. */
export function proxy_on_configure(rootId: u32, configurationSize: u32): u32 {
  enter();
  refreshLogLevel();
  const root = rootOf(rootId);
  const bytes = configurationSize === 0 ? EMPTY : getBuffer(BufferType.PluginConfiguration, 0, configurationSize);
  const accepted = root !== null && root.onConfigure(bytes === NONE ? EMPTY : bytes);
  leave();
  collectNow();
  return accepted ? 1 : 0;
}

export function proxy_on_delete(id: u32): void {
  enter();
  forgetCalls(id);
  deleteContext(id);
  leave();
}
