/** The caller's side, also of a gateway: gives requests their class, and drops early what callees have said they shed. */
import {
  addHeader,
  ascii,
  FilterHeadersStatus,
  getProperty,
  HttpStream,
  hash64,
  lenOf,
  MapType,
  parseDecimal,
  present,
  propertyPath,
  propertySegments,
  Slice,
  setHeader,
  slice,
} from 'proxy-wasm-assemblyscript-sdk';
import { answerHeader, upstreamAddress } from '../answer';
import { authority } from '../exchange';
import { CLASS, DROPPED, SHED } from '../headers';
import { UNKNOWN } from '../lane-fallback/name-table';
import { StreamSource } from '../lane-tagging/matcher.host';
import { Callee, Fate } from './callers';
import { cohort } from './cohort';
import { SheddingConfig } from './config';
import { milliseconds } from './inbound';
import { OutboundMetrics } from './metrics';
import { ALL, COHORTS, DEFAULT } from './priority';
import { Refusal } from './refusal';

const CLASS_NAME = ascii(CLASS);
const DROPPED_NAME = ascii(DROPPED);
const SHED_NAME = ascii(SHED);
/** Where `header_to_metadata` has put the header. */
const SHED_METADATA = propertyPath('metadata.filter_metadata.causeway.shed');
/** Stands on endpoints that are proxies of this mesh. */
const INSTANCE = propertySegments(['xds', 'upstream_host_metadata', 'filter_metadata', 'causeway', 'instance']);

const REQUEST = new StreamSource();
/** Room for one class digit, and for a number of dropped requests. */
const DIGIT = memory.data(1);
const DIGITS = memory.data(10);

/** One configuration of the outbound side. */
@final
export class Outbound {
  readonly metrics: OutboundMetrics;
  readonly refusal: Refusal;
  readonly callees: StaticArray<Callee>;

  constructor(readonly config: SheddingConfig) {
    this.metrics = new OutboundMetrics(config.services);
    this.refusal = new Refusal(config.status, config.retryAfter);
    this.callees = new StaticArray<Callee>(config.services.length);
    for (let i = 0; i < this.callees.length; i++) this.callees[i] = new Callee();
  }
}

/** One request that is sent. */
@final
export class OutboundStream extends HttpStream {
  private callee: Callee | null = null;
  private key: i32 = ALL;

  constructor(private readonly outbound: Outbound) {
    super();
  }

  onRequestHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    const outbound = this.outbound;
    const class_ = this.classify();
    if (outbound.callees.length === 0) return FilterHeadersStatus.Continue;
    const service = outbound.config.authorities.find(authority());
    if (service === UNKNOWN) return FilterHeadersStatus.Continue;
    const callee = unchecked(outbound.callees[service]);
    this.callee = callee;
    this.key = ALL;
    if (!callee.active) return FilterHeadersStatus.Continue;
    const time = milliseconds();
    const drawn = cohort(outbound.config.userHeader, time);
    this.key = class_ * COHORTS + drawn;
    const fate = callee.judge(class_, drawn, time);
    if (fate === Fate.Drop) {
      this.callee = null;
      unchecked(outbound.metrics.dropped[service]).add();
      return outbound.refusal.drop();
    }
    if (fate === Fate.Sample) setHeader(MapType.RequestHeaders, DROPPED_NAME, decimal(callee.takeDropped(class_)));
    return FilterHeadersStatus.Continue;
  }

  onLog(): void {
    const callee = this.callee;
    if (callee === null) return;
    this.callee = null;
    const metadata = this.outbound.config.inMetadata;
    const said = metadata ? getProperty(SHED_METADATA) : answerHeader(SHED_NAME);
    if (present(said)) this.hear(callee, said);
    else if (callee.active && this.key < ALL) {
      const host = upstreamAddress();
      if (present(host)) callee.answered(hash64(host), this.key, milliseconds());
    }
  }

  onReset(): void {
    this.callee = null;
  }

  /** Sets the class header where a rule gives a class of its own. */
  private classify(): i32 {
    const config = this.outbound.config;
    const plan = config.plan;
    if (plan === null) return DEFAULT;
    plan.begin();
    const rule = plan.first(REQUEST);
    if (rule < 0) return DEFAULT;
    const class_ = unchecked(config.classes[rule]);
    if (class_ === DEFAULT) return DEFAULT;
    store<u8>(DIGIT, (0x30 + class_) as u8);
    addHeader(MapType.RequestHeaders, CLASS_NAME, slice(DIGIT, 1));
    return class_;
  }

  /** A threshold is believed only when it comes from a proxy of this mesh. */
  private hear(callee: Callee, said: Slice): void {
    const metrics = this.outbound.metrics;
    const threshold = parseDecimal(said);
    if (threshold < 0 || threshold > ALL) {
      metrics.badThreshold.add();
      return;
    }
    if (lenOf(getProperty(INSTANCE)) === 0) {
      metrics.foreign.add();
      return;
    }
    metrics.believed.add();
    callee.refused(hash64(upstreamAddress()), threshold as i32, milliseconds());
  }
}

/** In memory that the next call overwrites. */
function decimal(count: u32): Slice {
  let left = count;
  let at: usize = 10;
  do {
    store<u8>(DIGITS + --at, (0x30 + (left % 10)) as u8);
    left /= 10;
  } while (left > 0);
  return slice(DIGITS + at, 10 - at);
}
