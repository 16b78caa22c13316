/** The pure parts of trace-propagation as a module of their own, for the comparison with the reference model. */
import 'proxy-wasm-assemblyscript-sdk/abi/abort';
import { Slice } from 'proxy-wasm-assemblyscript-sdk/slice';

export { memberOf, withMember } from '../../filters/trace-propagation/baggage';
export {
  clearBucket,
  find,
  learn,
  leaseEnd,
  release,
  renew,
  tagAt,
  touch,
} from '../../filters/trace-propagation/policy';
export { sipHash128, sipHigh, sipLow } from '../../filters/trace-propagation/siphash';
export { stickyHash, traceIdOf } from '../../filters/trace-propagation/trace-id';

/** Memory for the caller's bytes. */
export function room(size: usize): usize {
  return heap.alloc(size);
}

/** `NONE` as the functions above answer it. */
export function none(): Slice {
  return u64.MAX_VALUE;
}
