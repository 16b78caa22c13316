/** The answer to a request that is kept out: its caller sends it to another host, whatever its method. */
import { ascii, FilterHeadersStatus, PairWriter, Slice, sendLocalResponse } from 'proxy-wasm-assemblyscript-sdk';
import { ISOLATED } from '../headers';
import { Closed } from './policy';

const SERVICE_UNAVAILABLE: u32 = 503;
const UNAVAILABLE: i32 = 14;
const BODY = ascii('causeway: this instance takes no such requests\n');
const ISOLATED_NAME = ascii(ISOLATED);
/** A caller with active health checks takes the host out at once, for all requests. */
const EJECT = ascii('x-envoy-immediate-health-check-fail');
const ONE = ascii('1');
const TRUE = ascii('true');

/** By `Closed`; the first is for rules. */
const DETAILS: StaticArray<u64> = [
  ascii('causeway_isolation_rule'),
  ascii('causeway_isolation_isolated'),
  ascii('causeway_isolation_offline'),
  ascii('causeway_isolation_starting'),
];

const pairs = new PairWriter(2);

/** `Closed.Open`: by a rule; the host goes on serving everything else, so it must not be taken out. */
export function keepOut(why: Closed): FilterHeadersStatus {
  pairs.clear().add(ISOLATED_NAME, ONE);
  if (why !== Closed.Open) pairs.add(EJECT, TRUE);
  const details: Slice = unchecked(DETAILS[why]);
  // Envoy gives the gRPC status to gRPC requests only.
  sendLocalResponse(SERVICE_UNAVAILABLE, details, BODY, pairs, UNAVAILABLE);
  return FilterHeadersStatus.StopIteration;
}
