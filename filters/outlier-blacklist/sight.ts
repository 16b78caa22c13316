/** What can be seen of a request at its end: which host had it, and what that says about the host. Host calls only. */
import {
  ascii,
  getProperty,
  getPropertyU64,
  parseDecimal,
  present,
  propertyPath,
  propertySegments,
  Slice,
} from 'proxy-wasm-assemblyscript-sdk';
import { answerHeader, answerStatus } from '../answer';
import { ISOLATED, SHED } from '../headers';
import { Outcome } from './row';

const SHED_ANSWER = ascii(SHED);
const ISOLATED_ANSWER = ascii(ISOLATED);
const LIMITED_ANSWER = ascii('x-envoy-ratelimited');
const FLAGS = propertyPath('response.flags');
const GRPC_STATUS = propertyPath('response.grpc_status');
const LANE = propertySegments(['xds', 'upstream_host_metadata', 'filter_metadata', 'causeway', 'lane']);
const LB_LANE = propertySegments(['xds', 'upstream_host_metadata', 'filter_metadata', 'envoy.lb', 'lane']);

/** Envoy's response flags: the connection failed, broke, or was reset by the other side. */
const CONNECTION_FLAGS: u64 = 0x10 | 0x20 | 0x40;
/** No healthy host, a circuit breaker, no route, a drill of this proxy: the host had no part in it. */
const OWN_FLAGS: u64 = 0x2 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800;

const SWITCHING_PROTOCOLS: i64 = 101;

/** No statement about the host. */
export const UNJUDGED: i32 = -1;

/** Lane of that host; `NONE` when its metadata names none. */
export function upstreamLane(): Slice {
  const lane = getProperty(LANE);
  return present(lane) ? lane : getProperty(LB_LANE);
}

/** What the request says about its host: an `Outcome`, or `UNJUDGED`. Only a failure costs more than the answer's headers. */
export function outcome(grpc: bool): i32 {
  const answer = answerStatus();
  // The caller has gone before an answer: its patience is the best that is known of the host's time.
  if (!present(answer)) return Outcome.Success;
  const status = parseDecimal(answer);
  if (status === SWITCHING_PROTOCOLS) return Outcome.Tunnel;
  if (status < 500 || status === 501 || status === 505) return grpc ? grpcOutcome() : Outcome.Success;
  if (refusedByMesh()) return UNJUDGED;
  const flags = getPropertyU64(FLAGS, 0);
  if ((flags & OWN_FLAGS) !== 0) return UNJUDGED;
  return (flags & CONNECTION_FLAGS) !== 0 ? Outcome.ConnectionFailure : Outcome.Error;
}

/** Deadline exceeded, internal, unavailable and data loss; everything else is an answer. */
function grpcOutcome(): i32 {
  const status = getPropertyU64(GRPC_STATUS, 0);
  if (status !== 4 && (status < 13 || status > 15)) return Outcome.Success;
  return refusedByMesh() ? UNJUDGED : Outcome.Error;
}

/** Shed, limited and isolated answers say that the host is busy or closed, not that it is bad. */
function refusedByMesh(): bool {
  return (
    present(answerHeader(SHED_ANSWER)) ||
    present(answerHeader(ISOLATED_ANSWER)) ||
    present(answerHeader(LIMITED_ANSWER))
  );
}
