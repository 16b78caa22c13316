/**
 * Chooses the plain or the TLS pool of each call by an exact token that the routes match, confirms at the end what
 * the connection really was, and keeps a canary from going back to plain once TLS has worked. README.md says the rest.
 */
import {
  ascii,
  FilterHeadersStatus,
  getProperty,
  HttpStream,
  lenOf,
  logWarn,
  MapType,
  now,
  propertySegments,
  Slice,
  setHeader,
  startsWith,
  text,
} from 'proxy-wasm-assemblyscript-sdk';
import { Json } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { addTraceSource, authority, path, sticky, useTraceSources } from '../exchange';
import { TLS } from '../headers';
import { UNKNOWN } from '../lane-fallback/name-table';
import { FilterPlugin } from '../plugin';
import { formatOf, lowerCase } from '../trace-propagation/config';
import { EliminationConfig } from './config';
import { EliminationMetrics } from './metrics';
import { Expected, judge, Mode, Outcome, ServiceTls } from './policy';
import { refresh, tellCompleted, tellReturn } from './ratchet';
import { UpstreamStream, wantsTls } from './upstream';

const TOKEN = ascii(TLS);
const ONE = ascii('1');
const TLS_VERSION = propertySegments(['upstream', 'tls_version']);
const LOCAL_ADDRESS = propertySegments(['upstream', 'local_address']);
const FAILURE_REASON = propertySegments(['upstream', 'transport_failure_reason']);
/** How Envoy's words begin when the handshake fails, also when the other side resets it; a refused connection has others. */
const TLS_ERROR = ascii('TLS_error');

const MILLISECOND: u64 = 1_000_000;

@final
export class ConnectionEliminationPlugin extends FilterPlugin {
  private compiled: EliminationConfig | null = null;
  private counters: EliminationMetrics | null = null;
  private upstream: bool = false;

  filterName(): string {
    return 'connection-elimination';
  }

  configure(section: Json): bool {
    const direction = section.get('direction')!;
    this.upstream = direction.is('upstream');
    if (this.upstream) return true;
    const config = new EliminationConfig(section, direction.is('gateway'));
    for (let i = 0; i < config.services.length; i++) refresh(config.names[i], config.services[i]);
    this.compiled = config;
    this.counters = new EliminationMetrics(config.names);
    const sources = section.itemsOf('sources');
    if (sources.length > 0) useTraceSources();
    for (let i = 0; i < sources.length; i++) {
      const name = lowerCase(sources[i].textOf('header'));
      addTraceSource(name, formatOf(sources[i], name));
    }
    return true;
  }

  createStream(): HttpStream {
    return this.upstream ? new UpstreamStream() : new CallStream(this.compiled!, this.counters!);
  }

  /** Other workers may have completed TLS, or gone back to plain. */
  onSecond(): void {
    const config = this.compiled;
    if (config === null) return;
    for (let i = 0; i < config.services.length; i++) {
      const service = unchecked(config.services[i]);
      if (service.mode === Mode.Canary) refresh(unchecked(config.names[i]), service);
    }
  }
}

/** One call. */
@final
class CallStream extends HttpStream {
  private service: i32 = UNKNOWN;
  private tls: bool = false;

  constructor(
    private readonly config: EliminationConfig,
    private readonly counters: EliminationMetrics,
  ) {
    super();
  }

  onRequestHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    const config = this.config;
    const number = config.byPath ? config.ofPath(path()) : config.authorities.find(authority());
    this.service = number;
    if (number === UNKNOWN || unchecked(config.shared[number])) return FilterHeadersStatus.Continue;
    const service = unchecked(config.services[number]);
    const expected = service.expect(service.draws() ? sticky() : 0, service.mayReturn() ? now() / MILLISECOND : 0);
    this.tls = expected === Expected.Tls;
    // In place of whatever is there: beside a forged value the route would not know ours.
    if (this.tls) setHeader(MapType.RequestHeaders, TOKEN, ONE);
    if (expected === Expected.Returned) unchecked(this.counters.returned[number]).add();
    return FilterHeadersStatus.Continue;
  }

  onLog(): void {
    const number = this.service;
    if (number === UNKNOWN) return;
    this.service = UNKNOWN;
    const tls = lenOf(getProperty(TLS_VERSION)) > 0;
    const expects = unchecked(this.config.shared[number]) ? wantsTls() : this.tls;
    const connected = tls || !expects || lenOf(getProperty(LOCAL_ADDRESS)) > 0;
    this.count(
      number,
      judge(expects, tls, connected, !connected && startsWith(getProperty(FAILURE_REASON), TLS_ERROR)),
      tls,
    );
  }

  onReset(): void {
    this.service = UNKNOWN;
  }

  private count(number: i32, outcome: Outcome, tls: bool): void {
    const counters = this.counters;
    const service = unchecked(this.config.services[number]);
    switch (outcome) {
      case Outcome.Failed:
        unchecked(counters.failed[number]).add();
        this.goBack(number, service);
        return;
      case Outcome.Unconnected:
        return;
      case Outcome.Mismatch:
        unchecked(counters.mismatch[number]).add();
    }
    unchecked((tls ? counters.tls : counters.plain)[number]).add();
    if (tls && !service.completed) tellCompleted(unchecked(this.config.names[number]), service);
  }

  private goBack(number: i32, service: ServiceTls): void {
    const name = unchecked(this.config.names[number]);
    // Another worker may have completed TLS since the last tick.
    refresh(name, service);
    const time = now() / MILLISECOND;
    const was = service.isBack(time);
    if (!service.failed(time)) return;
    tellReturn(name, service);
    if (!was)
      logWarn(
        `causeway: connection-elimination: the canary of ${text(name)} goes back to plain: TLS has failed and never worked`,
      );
  }
}
