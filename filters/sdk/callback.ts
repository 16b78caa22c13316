/**
 * The frame of a top-level callback: what the host calls into the module. Everything that is valid "until the callback
 * ends" hangs on the sequence number kept here.
 */
import { reset } from './arena';

let depth: i32 = 0;
let sequence: u32 = 0;

/** Opens a callback. The host may call back into the module from inside a host call; only the outermost call resets. */
export function enter(): void {
  if (depth++ === 0) {
    sequence++;
    reset();
  }
}

export function leave(): void {
  depth--;
}

/** Number of the running callback; caches of host-written bytes are valid while it stays the same. */
export function callbackSequence(): u32 {
  return sequence;
}
