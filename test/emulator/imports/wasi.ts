import { Misuse } from '../errors.ts';
import type { HostFunctions } from '../host-call.ts';
import { Status } from '../status.ts';

/** Most bytes of one `random_get`, as in Envoy's host. */
const RANDOM_LIMIT = 64 * 1024;

/** The few functions of WASI preview 1 that a plugin without a file system needs. */
export const wasiFunctions: HostFunctions = {
  random_get(call, pointer: number, size: number) {
    call.number(size);
    if (size > RANDOM_LIMIT) throw new Misuse(Status.BadArgument, `more than ${RANDOM_LIMIT} random bytes at once`);
    call.instance.memory.write(pointer, call.env.random(size));
    return Status.Ok;
  },
};
