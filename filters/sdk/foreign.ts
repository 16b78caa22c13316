import { proxy_call_foreign_function } from './abi/imports';
import { OUT, OUT_SIZE, returned } from './abi/out';
import { Status } from './abi/types';
import { lenOf, NONE, ptrOf, Slice } from './slice';

let status: Status = Status.Ok;

/** Calls a function that the host adds beyond the ABI, with binary argument and result. `NONE` on failure. */
export function callForeign(name: Slice, argument: Slice): Slice {
  store<u64>(OUT, 0);
  store<u32>(OUT_SIZE, 0);
  status = proxy_call_foreign_function(ptrOf(name), lenOf(name), ptrOf(argument), lenOf(argument), OUT, OUT_SIZE);
  return status === Status.Ok ? returned() : NONE;
}

/** Why the last `callForeign` failed. */
export function foreignStatus(): Status {
  return status;
}
