/** The answer to a request over a limit. */
import { ascii, FilterHeadersStatus, PairWriter, Slice, sendLocalResponse } from 'proxy-wasm-assemblyscript-sdk';

const RESOURCE_EXHAUSTED: i32 = 8;
const DETAILS = 'causeway_adaptive_rate_limit_';

export const STRESS = ascii(DETAILS + 'stress');
export const ADAPTIVE = ascii(DETAILS + 'adaptive');
export const INTERFACE = ascii(DETAILS + 'interface');
export const INSTANCE = ascii(DETAILS + 'instance');
export const HOTSPOT = ascii(DETAILS + 'hotspot');

const BODY = ascii('causeway: too many requests\n');
const RETRY_AFTER = ascii('retry-after');
/** Envoy's retry policies leave such an answer alone, unless they ask for `envoy-ratelimited`. */
const RATE_LIMITED = ascii('x-envoy-ratelimited');
const TRUE = ascii('true');

@final
export class LimitRefusal {
  private readonly pairs: PairWriter = new PairWriter(2);

  /** `retryAfter` in seconds; 0 = none. */
  constructor(
    private readonly status: u32,
    retryAfter: u32,
  ) {
    this.pairs.add(RATE_LIMITED, TRUE);
    if (retryAfter > 0) this.pairs.add(RETRY_AFTER, ascii(retryAfter.toString()));
  }

  /** `details`: one of the texts above. */
  send(details: Slice): FilterHeadersStatus {
    // Envoy gives the gRPC status to gRPC requests only.
    sendLocalResponse(this.status, details, BODY, this.pairs, RESOURCE_EXHAUSTED);
    return FilterHeadersStatus.StopIteration;
  }
}
