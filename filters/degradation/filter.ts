/**
 * At the caller: breakers for each interface and host of a callee, proportional drops, and stand-in answers for side
 * dependencies that are cut. README.md says what each costs and what it refuses.
 */
import { HttpStream, now } from 'proxy-wasm-assemblyscript-sdk';
import { Json } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { cpuPressure, HostList, hostsVersion, refreshAgent, wantHosts } from '../agent/blob';
import { addTraceSource, useTraceSources } from '../exchange';
import { FilterPlugin } from '../plugin';
import { formatOf, lowerCase } from '../trace-propagation/config';
import { compileConfig, DegradationConfig, DegradedService } from './config';
import { DegradationStream, milliseconds } from './stream';

@final
export class DegradationPlugin extends FilterPlugin {
  private config: DegradationConfig | null = null;
  private readonly list: HostList = new HostList();
  private listsVersion: u32 = 0;

  filterName(): string {
    return 'degradation';
  }

  configure(section: Json): bool {
    const config = compileConfig(section);
    if (config === null) return false;
    this.config = config;
    const sources = section.itemsOf('sources');
    if (sources.length > 0) useTraceSources();
    for (let i = 0; i < sources.length; i++) {
      const name = lowerCase(sources[i].textOf('header'));
      addTraceSource(name, formatOf(sources[i], name));
    }
    for (let i = 0; i < config.services.length; i++) {
      const clusters = config.services[i].clusters;
      if (config.services[i].law === null) continue;
      for (let c = 0; c < clusters.length; c++) wantHosts(clusters[c]);
    }
    return true;
  }

  createStream(): HttpStream {
    return new DegradationStream(this.config!);
  }

  onSecond(): void {
    const config = this.config;
    if (config === null) return;
    refreshAgent(now());
    this.seePressure(config);
    const anew = hostsVersion() !== this.listsVersion;
    this.listsVersion = hostsVersion();
    for (let i = 0; i < config.services.length; i++) this.seeHosts(config.services[i], anew);
  }

  private seePressure(config: DegradationConfig): void {
    const pressure = cpuPressure();
    if (!config.asksPressure || pressure < 0) return;
    for (let i = 0; i < config.services.length; i++) {
      const cuts = config.services[i].cuts;
      for (let c = 0; c < cuts.length; c++) cuts[c].trigger.seePressure(pressure, milliseconds());
    }
  }

  /** Hosts that Envoy sends nothing do not count; without a list of some cluster all do. */
  private seeHosts(service: DegradedService, anew: bool): void {
    const groups = service.groups;
    if (groups.length === 0 || service.clusters.length === 0) return;
    const list = this.list;
    for (let c = 0; c < service.clusters.length; c++) {
      if (list.open(service.clusters[c])) continue;
      for (let g = 0; g < groups.length; g++) groups[g].forgetList();
      return;
    }
    if (!anew) return;
    for (let g = 0; g < groups.length; g++) groups[g].beginList();
    for (let c = 0; c < service.clusters.length; c++) {
      if (!list.open(service.clusters[c])) continue;
      while (list.next()) {
        if (!list.usable) continue;
        for (let g = 0; g < groups.length; g++) groups[g].hostListed(list.hash);
      }
    }
  }
}
