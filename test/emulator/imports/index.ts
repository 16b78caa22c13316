import type { HostFunctions } from '../host-call.ts';
import { bufferFunctions } from './buffers.ts';
import { headerFunctions } from './headers.ts';
import { metricFunctions } from './metrics.ts';
import { outsideFunctions } from './outside.ts';
import { sharedFunctions } from './shared.ts';
import { streamFunctions } from './stream.ts';
import { wasiFunctions } from './wasi.ts';

/** Every host function that the emulator has, by import module. gRPC calls are not among them. */
export const HOST_MODULES: Readonly<Record<string, HostFunctions>> = {
  env: {
    ...headerFunctions,
    ...bufferFunctions,
    ...sharedFunctions,
    ...metricFunctions,
    ...streamFunctions,
    ...outsideFunctions,
  },
  wasi_snapshot_preview1: wasiFunctions,
};
