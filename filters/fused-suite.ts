import {
  FusedPlugin,
  Gauge,
  gauge,
  now,
  Slice,
  setTickPeriod,
  text,
  vmConfiguration,
} from 'proxy-wasm-assemblyscript-sdk';
import { Json } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { LaneFallbackPlugin } from './lane-fallback/filter';
import { LaneTaggingPlugin } from './lane-tagging/filter';
import { FilterPlugin, readConfiguration } from './plugin';
import { TracePropagationPlugin } from './trace-propagation/filter';

const TICK_MS: u32 = 1000;
const NANOSECONDS: u64 = 1_000_000_000;

/**
 * The filters that the configuration has a section for, in one context.
 *
 * Where requests come in, tagging goes first, so that what it decides is learned under the request's trace id. Where
 * they go out, the tag that belongs to the trace goes first, so that tagging sees only requests that have none.
 */
@final
export class Suite extends FusedPlugin {
  private heartbeat: Gauge | null = null;

  onConfigure(configuration: Slice): bool {
    const sections = readConfiguration(configuration, 'causeway');
    if (sections === null) return false;
    const propagation = sections.get('trace-propagation');
    const applies = propagation !== null && this.isOutbound(propagation);
    if (applies && !this.add(sections, new TracePropagationPlugin())) return false;
    if (!this.add(sections, new LaneTaggingPlugin())) return false;
    if (!applies && !this.add(sections, new TracePropagationPlugin())) return false;
    if (!this.add(sections, new LaneFallbackPlugin())) return false;
    this.heartbeat = gauge(`causeway_heartbeat_seconds.role.${text(vmConfiguration())}`);
    setTickPeriod(TICK_MS);
    return true;
  }

  /** Time of the last tick: a VM that traps again and again stops it, which no other statistic of Envoy's tells. */
  onTick(): void {
    const beat = this.heartbeat;
    if (beat !== null) beat.set(now() / NANOSECONDS);
    super.onTick();
  }

  private isOutbound(section: Json): bool {
    const direction = section.get('direction');
    return direction !== null && direction.is('outbound');
  }

  /** True when the filter is configured, and when the configuration has no section for it. */
  private add(sections: Json, filter: FilterPlugin): bool {
    const section = sections.get(filter.filterName());
    if (section === null) return true;
    filter.id = this.id;
    this.parts.push(filter);
    return filter.configure(section);
  }
}
