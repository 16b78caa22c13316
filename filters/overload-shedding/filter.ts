/**
 * Overload shedding: inbound it protects the application behind this Envoy, outbound and at a gateway it gives classes and
 * drops early what callees shed. README.md has the law and what it costs.
 */
import { HttpStream } from 'proxy-wasm-assemblyscript-sdk';
import { Json } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { addTraceSource, useTraceSources } from '../exchange';
import { dropExpressions } from '../lane-tagging/matcher.host';
import { FilterPlugin, TICK_MS } from '../plugin';
import { compileConfig, SheddingConfig } from './config';
import { FAST_TICK_MS, Inbound, InboundStream } from './inbound';
import { Outbound, OutboundStream } from './outbound';

@final
export class OverloadSheddingPlugin extends FilterPlugin {
  private config: SheddingConfig | null = null;
  private inbound: Inbound | null = null;
  private outbound: Outbound | null = null;
  private serving: bool = false;

  filterName(): string {
    return 'overload-shedding';
  }

  configure(section: Json): bool {
    const config = compileConfig(section);
    if (config === null) return false;
    this.config = config;
    if (config.sources.length > 0) useTraceSources();
    for (let i = 0; i < config.sources.length; i++) addTraceSource(config.sources[i], config.formats[i]);
    if (config.inbound) this.inbound = new Inbound(config);
    else this.outbound = new Outbound(config);
    return true;
  }

  tickMs(): u32 {
    return this.inbound === null ? TICK_MS : FAST_TICK_MS;
  }

  /** The first stream shows that this is a worker: the main thread has nothing to measure. */
  createStream(): HttpStream {
    this.serving = true;
    const inbound = this.inbound;
    return inbound !== null ? new InboundStream(inbound) : new OutboundStream(this.outbound!);
  }

  onFastTick(): void {
    const inbound = this.inbound;
    if (inbound !== null && this.serving) inbound.tick();
  }

  onSecond(): void {
    const inbound = this.inbound;
    if (inbound !== null && this.serving) inbound.show();
  }

  onDelete(): void {
    const config = this.config;
    if (config === null) return;
    const plan = config.plan;
    if (plan !== null) dropExpressions(plan);
  }
}
