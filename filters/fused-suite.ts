import {
  counter,
  FusedPlugin,
  Gauge,
  gauge,
  HttpStream,
  NO_SLOT,
  now,
  Slice,
  text,
  vmConfiguration,
  WorkerSlot,
} from 'proxy-wasm-assemblyscript-sdk';
import { Json } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { AdaptiveRateLimitPlugin } from './adaptive-rate-limit/filter';
import { beginWanted, commitWanted } from './agent/blob';
import { ConnectionEliminationPlugin } from './connection-elimination/filter';
import { DegradationPlugin } from './degradation/filter';
import { beginConfiguration, undoConfiguration } from './exchange';
import { IsolationPlugin } from './isolation/filter';
import { LaneFallbackPlugin } from './lane-fallback/filter';
import { LaneTaggingPlugin } from './lane-tagging/filter';
import { OutlierBlacklistPlugin } from './outlier-blacklist/filter';
import { OverloadSheddingPlugin } from './overload-shedding/filter';
import { FilterPlugin, readConfiguration, TICK_MS, TickDivider } from './plugin';
import { TracePropagationPlugin } from './trace-propagation/filter';

const NANOSECONDS: u64 = 1_000_000_000;

/**
 * The filters that the configuration has a section for, in one context.
 *
 * Where requests come in, tagging goes first, so that what it decides is learned under the request's trace id. Where
 * they go out, the tag that belongs to the trace goes first, so that tagging sees only requests that have none.
 */
@final
export class Suite extends FusedPlugin {
  private role: string = '';
  private slot: WorkerSlot | null = null;
  private heartbeat: Gauge | null = null;
  private serving: bool = false;
  private filters: Array<FilterPlugin> = [];
  private divider: TickDivider = new TickDivider();

  onConfigure(configuration: Slice): bool {
    const sections = readConfiguration(configuration, 'causeway');
    if (sections === null) return false;
    beginConfiguration();
    beginWanted();
    if (!this.addAll(sections)) {
      undoConfiguration();
      return false;
    }
    commitWanted();
    this.role = text(vmConfiguration());
    const configured = counter(`causeway_vm_configured_total.role.${this.role}`);
    configured.add();
    // At once: the VM of a query of death does not live to its first tick.
    configured.flush();
    const slot = new WorkerSlot(`v1/worker/${this.role}`, (TICK_MS as u64) * 1_000_000);
    slot.prepare();
    this.slot = slot;
    this.divider.start(this.shortestTick());
    return true;
  }

  /** The first stream shows that this is a worker: only workers take a slot, the main thread never does. */
  createStream(): HttpStream {
    this.serving = true;
    return super.createStream();
  }

  onTick(): void {
    const filters = this.filters;
    this.housekeeping = this.divider.due();
    for (let i = 0; i < filters.length; i++) filters[i].onFastTick();
    if (!this.housekeeping) return;
    if (this.serving) this.beat();
    for (let i = 0; i < filters.length; i++) filters[i].onSecond();
  }

  private shortestTick(): u32 {
    let shortest = TICK_MS;
    for (let i = 0; i < this.filters.length; i++) shortest = min(shortest, this.filters[i].tickMs());
    return shortest;
  }

  /**
   * The time of this worker's last tick. A VM that traps again and again stops beating, and `causeway_vm_configured_total`
   * rises with each reload: Envoy's own statistics say neither.
   */
  private beat(): void {
    const slot = this.slot;
    if (slot === null) return;
    const before = slot.index;
    const index = slot.beat(now());
    if (index === NO_SLOT) return;
    let heartbeat = this.heartbeat;
    if (heartbeat === null || index !== before) {
      heartbeat = gauge(`causeway_heartbeat_seconds.role.${this.role}.worker.${index}`);
      this.heartbeat = heartbeat;
    }
    heartbeat.set(now() / NANOSECONDS);
  }

  /** In the order in which they see a request. */
  private addAll(sections: Json): bool {
    const propagation = sections.get('trace-propagation');
    const applies = propagation !== null && this.isOutbound(propagation);
    // What is kept out of an instance is nobody else's business.
    if (!this.add(sections, new IsolationPlugin())) return false;
    // What is limited is no load, and what is shed of the rest tells the limits that it is too much.
    if (!this.add(sections, new AdaptiveRateLimitPlugin())) return false;
    // What is shed where it comes in needs no lane; what goes out is dropped before a lane is chosen.
    if (!this.add(sections, new OverloadSheddingPlugin())) return false;
    if (!this.add(sections, new DegradationPlugin())) return false;
    if (applies && !this.add(sections, new TracePropagationPlugin())) return false;
    if (!this.add(sections, new LaneTaggingPlugin())) return false;
    if (!applies && !this.add(sections, new TracePropagationPlugin())) return false;
    if (!this.add(sections, new LaneFallbackPlugin())) return false;
    if (!this.add(sections, new OutlierBlacklistPlugin())) return false;
    return this.add(sections, new ConnectionEliminationPlugin());
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
    this.filters.push(filter);
    return filter.configure(section);
  }
}
