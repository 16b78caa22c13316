/** What can be seen of a request at its end: which host had it, and what that says about the host. Host calls only. */
import {
  ascii,
  equal,
  getProperty,
  getPropertyU64,
  parseDecimal,
  present,
  propertyPath,
  propertySegments,
  Slice,
  startsWith,
} from 'proxy-wasm-assemblyscript-sdk';
import { answerHeader, answerStatus } from '../answer';
import { ISOLATED, SHED } from '../headers';
import { Outcome } from './row';

const SHED_ANSWER = ascii(SHED);
const ISOLATED_ANSWER = ascii(ISOLATED);
const LIMITED_ANSWER = ascii('x-envoy-ratelimited');
const FLAGS = propertyPath('response.flags');
const DETAILS = propertyPath('response.code_details');
const VIA_UPSTREAM = ascii('via_upstream');
const UPSTREAM = ascii('upstream_');
const GRPC_STATUS = propertyPath('response.grpc_status');
const LANE = propertySegments(['xds', 'upstream_host_metadata', 'filter_metadata', 'causeway', 'lane']);
const LB_LANE = propertySegments(['xds', 'upstream_host_metadata', 'filter_metadata', 'envoy.lb', 'lane']);

/** Envoy's response flags: the connection failed, broke, or was reset by the other side. */
const CONNECTION_FLAGS: u64 = 0x10 | 0x20 | 0x40;
/** No healthy host, a circuit breaker, no route, a drill of this proxy: the host had no part in it. */
const OWN_FLAGS: u64 = 0x2 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800;

/** A try without an answer timed out, or its answer was no HTTP. */
const TRY_FLAGS: u64 = 0x4 | 0x10000 | 0x800000;

const SWITCHING_PROTOCOLS: i64 = 101;

/** No statement about the host. */
export const UNJUDGED: i32 = -1;

/** Lane of that host; `NONE` when its metadata names none. */
export function upstreamLane(): Slice {
  const lane = getProperty(LANE);
  return present(lane) ? lane : getProperty(LB_LANE);
}

/**
 * What the request says about its host: an `Outcome`, or `UNJUDGED`. Only a failure costs more than the answer's headers.
 * `tries`: failed tries are judged by `tryOutcome`, the last one too; what is left is what no try shows.
 */
export function outcome(grpc: bool, tries: bool): i32 {
  const answer = answerStatus();
  // The caller has gone before an answer: its patience is the best that is known of the host's time.
  if (!present(answer)) return Outcome.Success;
  const status = parseDecimal(answer);
  if (status === SWITCHING_PROTOCOLS) return Outcome.Tunnel;
  if (status < 500 || status === 501 || status === 505) return grpc ? grpcOutcome(tries) : Outcome.Success;
  if (refusedByMesh()) return UNJUDGED;
  const flags = getPropertyU64(FLAGS, 0);
  if ((flags & OWN_FLAGS) !== 0) return UNJUDGED;
  if ((flags & CONNECTION_FLAGS) !== 0) return Outcome.ConnectionFailure;
  return tries && isShownByTry(true) ? UNJUDGED : Outcome.Error;
}

/**
 * What a try, as the router's `upstream_log` shows it, says about its host: `Outcome.Error` or `UNJUDGED`. Connections that fail
 * are left to the cluster's own ejection, and to the request's end; so are answers that are none of 5xx.
 */
export function tryOutcome(): i32 {
  const answer = answerStatus();
  const flags = getPropertyU64(FLAGS, 0);
  if ((flags & (OWN_FLAGS | CONNECTION_FLAGS)) !== 0) return UNJUDGED;
  if (!present(answer)) return (flags & TRY_FLAGS) !== 0 ? Outcome.Error : UNJUDGED;
  const status = parseDecimal(answer);
  if (status < 500 || status === 501 || status === 505) return UNJUDGED;
  return refusedByMesh() ? UNJUDGED : Outcome.Error;
}

/**
 * The failure is that of the last try, and not of the whole request, whose time was over: the host's answer of 5xx (`answers`), or what
 * Envoy made up because the try had none.
 */
function isShownByTry(answers: bool): bool {
  const details = getProperty(DETAILS);
  return startsWith(details, UPSTREAM) || (answers && equal(details, VIA_UPSTREAM));
}

/** Deadline exceeded, internal, unavailable and data loss; everything else is an answer. */
function grpcOutcome(tries: bool): i32 {
  const status = getPropertyU64(GRPC_STATUS, 0);
  if (status !== 4 && (status < 13 || status > 15)) return Outcome.Success;
  if (refusedByMesh()) return UNJUDGED;
  // A status in an answer of 200 is no failed try to the router; one that Envoy made up for a try is.
  return tries && isShownByTry(false) && (getPropertyU64(FLAGS, 0) & CONNECTION_FLAGS) === 0 ? UNJUDGED : Outcome.Error;
}

/** Shed, limited and isolated answers say that the host is busy or closed, not that it is bad. */
function refusedByMesh(): bool {
  return (
    present(answerHeader(SHED_ANSWER)) ||
    present(answerHeader(ISOLATED_ANSWER)) ||
    present(answerHeader(LIMITED_ANSWER))
  );
}
