import { EMPTY, NONE, persist, Slice } from './slice';

let configuration: Slice = EMPTY;

/**
 * `vm_config.configuration` as bytes, permanent; `EMPTY` without one. VMs with the same `vm_id` share their shared data
 * whatever stands here, but each distinct value is a VM of its own on every worker.
 */
export function vmConfiguration(): Slice {
  return configuration;
}

export function setVmConfiguration(bytes: Slice): void {
  configuration = bytes === NONE ? EMPTY : persist(bytes);
}
