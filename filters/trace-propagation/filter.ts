/**
 * Carries the tag over an application that forwards only trace ids: inbound learns trace id → tag, outbound adds the tag
 * that the application left out. See README.md for what it costs and what it cannot do.
 */
import {
  ascii,
  FilterHeadersStatus,
  getProperty,
  HttpStream,
  lenOf,
  MapType,
  NONE,
  now,
  present,
  propertyPath,
  removeHeader,
  Slice,
  setHeader,
} from 'proxy-wasm-assemblyscript-sdk';
import { isLabelValue } from 'proxy-wasm-assemblyscript-sdk/config/formats';
import { Json } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { addTraceSource, header, setTag, tag, useTagHeader, useTraceSources } from '../exchange';
import { MAX_TRACE_SOURCES } from '../limits';
import { FilterPlugin, refuse } from '../plugin';
import { droppedMembers, memberOf, withMember } from './baggage';
import { compileConfig, TraceConfig } from './config';
import { Holding, InFlight } from './in-flight';
import { TraceMetrics } from './metrics';
import { Learned } from './policy';
import { hashId, idFingerprint, idPlace, prepareHashKey, RecentIds, TraceMap } from './store';
import { traceIdOf } from './trace-id';

const BAGGAGE = ascii('baggage');
/** Baggage may come in several headers; the host hands out only the first of them, but this property joins them all. */
const ALL_BAGGAGE = propertyPath('request.headers.baggage');

/** Requests of this VM that hold entries, whatever configuration they came in under. */
const IN_FLIGHT = new InFlight();

@final
export class TracePropagationPlugin extends FilterPlugin {
  config: TraceConfig = new TraceConfig();
  map: TraceMap = new TraceMap(10, 0);
  recent: RecentIds = new RecentIds(1);
  metrics: TraceMetrics = new TraceMetrics();

  filterName(): string {
    return 'trace-propagation';
  }

  configure(section: Json): bool {
    const config = compileConfig(section);
    this.config = config;
    this.metrics.define();
    useTagHeader(config.tagHeader);
    useTraceSources();
    for (let i = 0; i < config.names.length; i++) addTraceSource(config.names[i], config.formats[i]);
    if (config.baggage) return true;
    return this.prepare();
  }

  createStream(): HttpStream {
    return new TraceStream(this);
  }

  onSecond(): void {
    if (IN_FLIGHT.any()) IN_FLIGHT.renewDue(milliseconds());
  }

  private prepare(): bool {
    if (!prepareHashKey()) {
      refuse('trace-propagation: found a host without randomness, expected random_get to work');
      return false;
    }
    const config = this.config;
    this.map = new TraceMap(config.sizeLog2, config.ttlMs);
    this.map.prepare();
    this.recent = new RecentIds(config.ttlMs);
    this.recent.prepare();
    return true;
  }
}

@final
class TraceStream extends HttpStream {
  private holding: Holding;

  constructor(private plugin: TracePropagationPlugin) {
    super();
    this.holding = new Holding(plugin.map, plugin.metrics);
  }

  onRequestHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    const config = this.plugin.config;
    if (config.inbound) {
      if (config.baggage) this.packBaggage();
      else this.learn();
    } else if (present(tag())) {
      this.plugin.metrics.explicit.add();
    } else if (config.baggage) {
      this.unpackBaggage();
    } else {
      this.apply();
    }
    return FilterHeadersStatus.Continue;
  }

  onLog(): void {
    this.end();
  }

  onReset(): void {
    this.end();
  }

  private end(): void {
    if (this.holding.count === 0) return;
    if (IN_FLIGHT.crowded) this.holding.giveBack(milliseconds());
    IN_FLIGHT.end(this.holding);
  }

  private learn(): void {
    const plugin = this.plugin;
    const config = plugin.config;
    const value = tag();
    if (present(value) && !isLabelValue(value)) {
      plugin.metrics.invalidTag.add();
      return;
    }
    if (!present(value) && config.leakSample === 0) return;
    for (let i = 0; i < config.names.length; i++) {
      if (!this.hashSource(i)) continue;
      if (present(value)) this.learnOne(value);
      else if (this.isWatched()) this.note();
    }
  }

  /** Reads and hashes the trace id of source `i`; false when the request has none there. */
  private hashSource(i: i32): bool {
    const config = this.plugin.config;
    const id = traceIdOf(unchecked(config.formats[i]), header(unchecked(config.names[i])));
    if (!present(id)) return false;
    hashId(id);
    return true;
  }

  private learnOne(value: Slice): void {
    const plugin = this.plugin;
    const learned = plugin.map.learn(value, milliseconds());
    plugin.metrics.learned(learned);
    if ((learned & Learned.CROWDED) !== 0) IN_FLIGHT.press(milliseconds());
    if ((learned & Learned.PINNED) === 0) return;
    if (this.holding.count === 0) IN_FLIGHT.begin(this.holding, milliseconds(), plugin.config.pinMs);
    this.holding.add(idPlace(), idFingerprint());
  }

  private note(): void {
    if (!this.plugin.recent.note(milliseconds())) this.plugin.metrics.casExhausted.add();
  }

  /** Whether the id hashed last is one of those that the leak detector watches; the same answer inbound and outbound. */
  private isWatched(): bool {
    const sample = this.plugin.config.leakSample;
    return sample !== 0 && ((idFingerprint() >> 32) as u32) % sample === 0;
  }

  private apply(): void {
    const plugin = this.plugin;
    const metrics = plugin.metrics;
    let ids = 0;
    let watched = false;
    let recent = false;
    for (let i = 0; i < plugin.config.names.length; i++) {
      if (!this.hashSource(i)) continue;
      ids++;
      const found = plugin.map.find(milliseconds());
      if (lenOf(found) > 0) {
        setTag(found);
        metrics.hit.add();
        return;
      }
      if (!this.isWatched()) continue;
      watched = true;
      if (!recent) recent = plugin.recent.has(idPlace(), milliseconds());
    }
    if (ids === 0) {
      metrics.leakedNoId.add();
      return;
    }
    metrics.miss.add();
    if (!watched) return;
    // Each watched id stands for `leakSample` ids.
    if (recent) metrics.untagged.add(plugin.config.leakSample);
    else metrics.leakedUnknownId.add(plugin.config.leakSample);
  }

  /** The application sees the tag in `baggage` exactly as the tag header says it: what outsiders wrote there is removed. */
  private packBaggage(): void {
    const plugin = this.plugin;
    const value = tag();
    const valid = present(value) && isLabelValue(value);
    if (present(value) && !valid) plugin.metrics.invalidTag.add();
    const before = getProperty(ALL_BAGGAGE);
    const after = withMember(before, plugin.config.baggageKey, valid ? value : NONE);
    if (!present(after)) return;
    if (lenOf(after) === 0) removeHeader(MapType.RequestHeaders, BAGGAGE);
    else setHeader(MapType.RequestHeaders, BAGGAGE, after);
    if (valid) plugin.metrics.stored.add();
    plugin.metrics.baggageDropped.add(droppedMembers());
  }

  private unpackBaggage(): void {
    const plugin = this.plugin;
    const value = memberOf(getProperty(ALL_BAGGAGE), plugin.config.baggageKey);
    if (present(value) && isLabelValue(value)) {
      setTag(value);
      plugin.metrics.hit.add();
    } else {
      plugin.metrics.miss.add();
      if (present(value)) plugin.metrics.invalidTag.add();
    }
  }
}

/** Unix milliseconds, the low 32 bits. */
function milliseconds(): u32 {
  return (now() / 1_000_000) as u32;
}
