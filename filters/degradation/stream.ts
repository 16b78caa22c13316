import {
  ascii,
  FilterHeadersStatus,
  getHeader,
  getProperty,
  getPropertyU64,
  HttpStream,
  hash64,
  lenOf,
  MapType,
  now,
  PairWriter,
  parseDecimal,
  present,
  propertyPath,
  propertySegments,
  Slice,
  sendLocalResponse,
} from 'proxy-wasm-assemblyscript-sdk';
import { answerHeader, answerStatus, upstreamAddress } from '../answer';
import { authority, method, path, sticky } from '../exchange';
import { CLASS, DEGRADED, SHED } from '../headers';
import { UNKNOWN } from '../lane-fallback/name-table';
import { classOf, DEFAULT } from '../overload-shedding/priority';
import { Cut, DegradationConfig, DegradedService } from './config';
import { Change, Decision } from './group';
import { ALL_OF, Draw } from './policy';

const CLASS_NAME = ascii(CLASS);
const SHED_NAME = ascii(SHED);
/** Where `header_to_metadata` has put that header, at a gateway. */
const SHED_METADATA = propertyPath('metadata.filter_metadata.causeway.shed');
const DEGRADED_NAME = ascii(DEGRADED);
const CONTENT_TYPE = ascii('content-type');
const DURATION = propertyPath('request.duration');
const GRPC_STATUS = propertyPath('response.grpc_status');
/** Stands on endpoints that are proxies of this mesh. */
const INSTANCE = propertySegments(['xds', 'upstream_host_metadata', 'filter_metadata', 'causeway', 'instance']);

const BROKEN = ascii('causeway_degradation_breaker');
const DROPPED = ascii('causeway_degradation_drop');
const CUT = ascii('causeway_degradation_cut');
const BREAKER_KIND = ascii('breaker');
const DROP_KIND = ascii('drop');
const CUT_KIND = ascii('cut');
const BROKEN_BODY = ascii('causeway: the service does not answer well, its breaker is open\n');
const DROPPED_BODY = ascii('causeway: this share of the calls is dropped\n');

/** Of gRPC. */
const UNAVAILABLE: i32 = 14;
/** Keys of priorities (class · 128 + cohort) end here. */
const MOST_THRESHOLD: i64 = 1_280;

const pairs = new PairWriter(2);
/** Seeded by the first request's time: workers draw independently. */
let draw: Draw | null = null;

export function milliseconds(): f64 {
  return (now() as f64) / 1_000_000;
}

function drawn(): f64 {
  let source = draw;
  if (source === null) {
    source = new Draw(now());
    draw = source;
  }
  return source.next();
}

/** How a request ended. */
enum Ending {
  Good,
  Bad,
  /** Says nothing of the callee: refused by its own protection, or given up early by the caller. */
  Neither,
}

@final
export class DegradationStream extends HttpStream {
  private service: DegradedService | null = null;
  private number: i32 = 0;

  constructor(private readonly config: DegradationConfig) {
    super();
    // Here, because requests allocate nothing.
    drawn();
  }

  onRequestHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    const found = this.config.authorities.find(authority());
    if (found === UNKNOWN) return FilterHeadersStatus.Continue;
    const service = unchecked(this.config.services[found]);
    const number = service.table.size > 1 ? service.table.find(method(), path()) : 0;
    const cut = holding(service, number);
    if (cut !== null) return answer(cut);
    const drops = service.drops;
    if (drops.length > 0) {
      const class_ = service.asksClass ? classOfRequest(this.config) : DEFAULT;
      for (let i = 0; i < drops.length; i++) {
        const drop = unchecked(drops[i]);
        if (!drop.rule.applies(found, number, class_) || !drop.rule.draws(sticky(), drawn())) continue;
        drop.dropped.add();
        return refuse(this.config.status, DROPPED, DROPPED_BODY, DROP_KIND);
      }
    }
    const law = service.law;
    if (law !== null) {
      const group = unchecked(service.groups[number]);
      if (group.troubled) {
        const decision = group.decide(drawn(), milliseconds());
        if (decision === Decision.Refuse) {
          unchecked(service.metrics[number]).refused.add();
          return refuse(this.config.status, BROKEN, BROKEN_BODY, BREAKER_KIND);
        }
        if (decision === Decision.Probe) unchecked(service.metrics[number]).probed.add();
      }
    } else if (!service.asksShed) return FilterHeadersStatus.Continue;
    this.service = service;
    this.number = number;
    return FilterHeadersStatus.Continue;
  }

  onLog(): void {
    const service = this.service;
    if (service === null) return;
    this.service = null;
    const ending = endingOf(this.config, service);
    const law = service.law;
    if (law === null || ending === Ending.Neither) return;
    const host = upstreamAddress();
    const group = unchecked(service.groups[this.number]);
    const good = ending === Ending.Good;
    const change = group.answered(present(host) ? hash64(host) : 0, good, milliseconds(), law);
    if (change === Change.Opened) unchecked(service.metrics[this.number]).opened.add();
    else if (change === Change.Closed) unchecked(service.metrics[this.number]).closed.add();
  }

  onReset(): void {
    this.service = null;
  }
}

function holding(service: DegradedService, number: i32): Cut | null {
  const cuts = service.cuts;
  for (let i = 0; i < cuts.length; i++) {
    const cut = unchecked(cuts[i]);
    if (cut.scope !== ALL_OF && cut.scope !== number) continue;
    if (cut.trigger.always || cut.trigger.holds(milliseconds())) return cut;
  }
  return null;
}

/** A class that is none counts as the default one: only the mesh's own proxies set it, and the edge takes it off. */
function classOfRequest(config: DegradationConfig): i32 {
  // Not by exchange.ts: overload-shedding may have added it in this very callback.
  const value = getHeader(MapType.RequestHeaders, CLASS_NAME);
  if (!present(value)) return DEFAULT;
  const class_ = classOf(value);
  if (class_ >= 0) return class_;
  config.ignoredClass.add();
  return DEFAULT;
}

function answer(cut: Cut): FilterHeadersStatus {
  cut.cut.add();
  const headers = pairs.clear().add(DEGRADED_NAME, CUT_KIND).add(CONTENT_TYPE, cut.contentType);
  sendLocalResponse(cut.status, CUT, cut.body, headers, cut.grpcStatus);
  return FilterHeadersStatus.StopIteration;
}

function refuse(status: u32, details: Slice, body: Slice, kind: Slice): FilterHeadersStatus {
  sendLocalResponse(status, details, body, pairs.clear().add(DEGRADED_NAME, kind), UNAVAILABLE);
  return FilterHeadersStatus.StopIteration;
}

function endingOf(config: DegradationConfig, service: DegradedService): Ending {
  const status = parseDecimal(answerStatus());
  if (status < 0) {
    // No answer went out: the caller gave up, or the stream broke.
    const took = (getPropertyU64(DURATION, 0) as f64) / 1_000_000;
    return took >= service.cancelMs ? Ending.Bad : Ending.Neither;
  }
  if (status === 429 || status >= 500) {
    return shed(config, service) || status === 429 ? Ending.Neither : Ending.Bad;
  }
  if (!service.grpc) return Ending.Good;
  switch (getPropertyU64(GRPC_STATUS, 0) as u32) {
    case 8:
      shed(config, service);
      return Ending.Neither;
    // UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS
    case 2:
    case 4:
    case 13:
    case 14:
    case 15:
      return Ending.Bad;
  }
  return Ending.Good;
}

/** Whether the answer is one of the callee's own protection. Its threshold is believed only from proxies of this mesh. */
function shed(config: DegradationConfig, service: DegradedService): bool {
  let said = answerHeader(SHED_NAME);
  if (!present(said)) said = getProperty(SHED_METADATA);
  if (!present(said) || lenOf(getProperty(INSTANCE)) === 0) return false;
  const threshold = parseDecimal(said);
  if (threshold < 0 || threshold > MOST_THRESHOLD) {
    config.ignoredThreshold.add();
    return false;
  }
  const cuts = service.cuts;
  for (let i = 0; i < cuts.length; i++) unchecked(cuts[i]).trigger.seeShed(threshold, milliseconds());
  return true;
}
