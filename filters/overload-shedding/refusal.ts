/** The answer to a request that is shed: told apart by every caller, retried by none. */
import { ascii, FilterHeadersStatus, PairWriter, Slice, sendLocalResponse, slice } from 'proxy-wasm-assemblyscript-sdk';
import { SHED } from '../headers';
import { ALL } from './priority';

const RESOURCE_EXHAUSTED: i32 = 8;
const REFUSED = ascii('causeway_overload_shedding_refused');
const DROPPED = ascii('causeway_overload_shedding_dropped');
const BODY = ascii('causeway: overloaded\n');

const SHED_NAME = ascii(SHED);
const RETRY_AFTER = ascii('retry-after');
/** Envoy's retry policies leave such an answer alone, unless they ask for `envoy-ratelimited`. */
const RATE_LIMITED = ascii('x-envoy-ratelimited');
const TRUE = ascii('true');
const DIGITS = memory.data(4);

@final
export class Refusal {
  private readonly pairs: PairWriter = new PairWriter(3);
  private readonly retryAfter: Slice;

  /** `retryAfter` in seconds; 0 = none. */
  constructor(
    private readonly status: u32,
    private readonly seconds: u32,
  ) {
    this.retryAfter = ascii(seconds.toString());
  }

  /** Refused by the callee's own proxy. `threshold` is told to the caller. */
  refuse(threshold: i32): FilterHeadersStatus {
    return this.send(REFUSED, threshold);
  }

  /** Dropped at the caller, before it was sent. */
  drop(): FilterHeadersStatus {
    return this.send(DROPPED, -1);
  }

  private send(details: Slice, threshold: i32): FilterHeadersStatus {
    const pairs = this.pairs.clear().add(RATE_LIMITED, TRUE);
    if (threshold >= 0) pairs.add(SHED_NAME, decimal(threshold));
    if (this.seconds > 0) pairs.add(RETRY_AFTER, this.retryAfter);
    // Envoy gives the gRPC status to gRPC requests only.
    sendLocalResponse(this.status, details, BODY, pairs, RESOURCE_EXHAUSTED);
    return FilterHeadersStatus.StopIteration;
  }
}

/** 0 … 1280, in memory that the next call overwrites. */
function decimal(threshold: i32): Slice {
  let left = min(max(threshold, 0), ALL);
  let at: usize = 4;
  do {
    store<u8>(DIGITS + --at, (0x30 + (left % 10)) as u8);
    left /= 10;
  } while (left > 0);
  return slice(DIGITS + at, 4 - at);
}
