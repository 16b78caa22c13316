import { Counter, counter, Gauge, gauge } from 'proxy-wasm-assemblyscript-sdk';
import { LimitConfig } from './config';

const PREFIX = 'causeway_adaptive_rate_limit_';

/** What the filter counts; README.md explains each. Made at configure time, because that takes host calls. */
@final
export class LimitMetrics {
  readonly stress: Counter = refused('stress');
  readonly instance: Counter = refused('instance');
  /** By interface. */
  readonly interface: Counter[] = [];
  readonly adaptive: Counter[] = [];
  /** By rule. */
  readonly hotspot: Counter[] = [];
  readonly badReport: Counter = counter(PREFIX + 'invalid_report_total');
  readonly level: Gauge = gauge(PREFIX + 'level_permille');
  /** By interface: the limit that the filter has made; 0 = none. */
  readonly limits: Gauge[] = [];

  constructor(config: LimitConfig) {
    for (let i = 0; i < config.interfaces.size; i++) {
      const label = '.interface.' + config.interfaces.nameOf(i).replaceAll('.', '_');
      this.interface.push(refused('interface', label));
      if (!config.adaptive) continue;
      this.adaptive.push(refused('adaptive', label));
      this.limits.push(gauge(PREFIX + 'limit_per_second' + label));
    }
    for (let i = 0; i < config.hotspots.length; i++) {
      this.hotspot.push(refused('hotspot', '.rule.' + config.hotspots[i].name.replaceAll('.', '_')));
    }
  }
}

function refused(reason: string, label: string = ''): Counter {
  return counter(PREFIX + 'refused_total.reason.' + reason + label);
}
