/**
 * Gives requests the tag of the lane that they belong to: at a gateway, or outbound at the caller of an entrance
 * service. See README.md for what it costs and what it refuses.
 */
import { ascii, FilterHeadersStatus, HttpStream, present, sendLocalResponse } from 'proxy-wasm-assemblyscript-sdk';
import { Json } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { addTraceSource, removeTag, setTag, tag, useTagHeader, useTraceSources } from '../exchange';
import { FilterPlugin } from '../plugin';
import { formatOf, lowerCase } from '../trace-propagation/config';
import { compileConfig, TaggingConfig } from './config';
import { callerIdentity, dropExpressions, StreamSource, sourceAddress } from './matcher.host';
import { TaggingMetrics } from './metrics';
import { judgeTag, TagVerdict, TrustPolicy } from './policy';

const REFUSED = ascii('causeway_lane_tagging_refused');
const REFUSED_BODY = ascii('the lane tag is no tag\n');

@final
export class LaneTaggingPlugin extends FilterPlugin {
  config: TaggingConfig | null = null;

  filterName(): string {
    return 'lane-tagging';
  }

  configure(section: Json): bool {
    this.release();
    const config = compileConfig(section);
    if (config === null) return false;
    config.metrics = new TaggingMetrics(config);
    this.config = config;
    useTagHeader(lowerCase(section.textOf('tagHeader')));
    const sources = section.itemsOf('sources');
    if (sources.length > 0) useTraceSources();
    for (let i = 0; i < sources.length; i++) {
      const name = lowerCase(sources[i].textOf('header'));
      addTraceSource(name, formatOf(sources[i], name));
    }
    return true;
  }

  createStream(): HttpStream {
    return new TaggingStream(this);
  }

  onDelete(): void {
    this.release();
  }

  private release(): void {
    const config = this.config;
    if (config !== null) dropExpressions(config.plan);
    this.config = null;
  }
}

@final
class TaggingStream extends HttpStream {
  constructor(private readonly plugin: LaneTaggingPlugin) {
    super();
  }

  onRequestHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    const config = this.plugin.config;
    if (config === null) return FilterHeadersStatus.Continue;
    const metrics = config.metrics!;
    const incoming = tag();
    if (present(incoming)) {
      if (!trusted(config.trust)) {
        removeTag();
        metrics.untrustedRemoved.add();
      } else {
        const verdict = judgeTag(incoming);
        if (verdict === TagVerdict.Valid) {
          metrics.kept.add();
          return FilterHeadersStatus.Continue;
        }
        removeTag();
        if (verdict === TagVerdict.Duplicate) metrics.duplicate.add();
        else metrics.malformed.add();
        if (config.closed) return refuseRequest();
      }
    }
    config.plan.begin();
    const rule = config.plan.first(SOURCE);
    if (rule < 0) metrics.untagged.add();
    else {
      setTag(unchecked(config.lanes[rule]));
      unchecked(metrics.tagged[rule]).add();
    }
    return FilterHeadersStatus.Continue;
  }
}

const SOURCE = new StreamSource();

/** Reads of the connection only what the configuration asks for. */
function trusted(trust: TrustPolicy): bool {
  if (trust.all) return true;
  if (trust.asksAddress && trust.trustsAddress(sourceAddress())) return true;
  if (!trust.asksIdentity) return false;
  return trust.trustsIdentity(callerIdentity());
}

function refuseRequest(): FilterHeadersStatus {
  sendLocalResponse(400, REFUSED, REFUSED_BODY, null);
  return FilterHeadersStatus.StopIteration;
}
