/**
 * Outbound: counts what becomes of each call, and while a host of the wanted lane is listed names good ones to the load
 * balancer. The judging is policy.ts'; README.md says which worker does it and how the others learn of it.
 */
import {
  ascii,
  FilterHeadersStatus,
  HttpStream,
  hash64,
  MapType,
  NONE,
  now,
  present,
  Slice,
  setHeader,
} from 'proxy-wasm-assemblyscript-sdk';
import { Json } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { upstreamAddress } from '../answer';
import { authority, chosenChain, header } from '../exchange';
import { HOSTS } from '../headers';
import { UNKNOWN } from '../lane-fallback/name-table';
import { FilterPlugin } from '../plugin';
import { compileConfig } from './config';
import { LaneHosts } from './hosts';
import { countRequest, Outcome } from './row';
import { outcome, UNJUDGED } from './sight';
import { forgetTries, seesTries, watchTries } from './tries';
import { TICK_MS, Watch } from './watch';

const HOSTS_NAME = ascii(HOSTS);

@final
export class OutlierBlacklistPlugin extends FilterPlugin {
  private watch: Watch | null = null;
  private serving: bool = false;

  filterName(): string {
    return 'outlier-blacklist';
  }

  tickMs(): u32 {
    return TICK_MS;
  }

  configure(section: Json): bool {
    this.watch = new Watch(compileConfig(section), this.id);
    return true;
  }

  /** The first stream shows that this is a worker: the main thread judges nothing. */
  createStream(): HttpStream {
    this.serving = true;
    watchTries(this.watch!);
    return new OutlierStream(this.watch!);
  }

  onFastTick(): void {
    const watch = this.watch;
    if (watch !== null && this.serving) watch.tick(now());
  }

  onDelete(): void {
    const watch = this.watch;
    if (watch !== null) {
      forgetTries(watch);
      watch.free();
    }
    this.watch = null;
  }
}

@final
class OutlierStream extends HttpStream {
  private service: i32 = UNKNOWN;
  private began: u64 = 0;

  constructor(private readonly watch: Watch) {
    super();
  }

  onRequestHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    const watch = this.watch;
    const service = watch.config.authorities.find(authority());
    this.service = service;
    if (service === UNKNOWN) return FilterHeadersStatus.Continue;
    this.began = now();
    if (!watch.chooses(service)) return FilterHeadersStatus.Continue;
    const hosts = this.hostsOf(service);
    if (present(hosts)) {
      setHeader(MapType.RequestHeaders, HOSTS_NAME, hosts);
      watch.countOverridden(service);
    }
    return FilterHeadersStatus.Continue;
  }

  /** Good hosts of the first lane of the request's chain that has any; `NONE` where the load balancer may choose. */
  private hostsOf(service: i32): Slice {
    const watch = this.watch;
    const chain = chosenChain();
    if (chain === null) return this.choose(service, watch.lane(service, watch.config.baseline));
    // Sent to one instance by a rule: nobody knows better.
    if (present(chain.instance)) return NONE;
    for (let i = 0, n = chain.lanes.length; i < n; i++) {
      const lane = watch.lane(service, unchecked(chain.lanes[i]));
      if (lane !== null) return this.choose(service, lane);
    }
    return NONE;
  }

  private choose(service: i32, lane: LaneHosts | null): Slice {
    if (lane === null) return NONE;
    const pool = lane.pool;
    if (pool === null) return NONE;
    const hashHeader = unchecked(this.watch.config.services[service]).hashHeader;
    if (!present(hashHeader)) return pool.inTurn();
    const key = header(hashHeader);
    return present(key) ? pool.byKey(hash64(key)) : pool.inTurn();
  }

  onLog(): void {
    const service = this.service;
    if (service === UNKNOWN) return;
    this.service = UNKNOWN;
    const address = upstreamAddress();
    if (!present(address)) return;
    const watch = this.watch;
    const config = unchecked(watch.config.services[service]);
    const judged = outcome(config.grpc, seesTries());
    if (judged === UNJUDGED) return;
    const row = watch.rowOf(service, address);
    if (row === 0) return;
    countRequest(row, judged as Outcome, (now() - this.began) / 1000);
  }

  onReset(): void {
    this.service = UNKNOWN;
  }
}
