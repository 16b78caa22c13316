import { Counter, counter, Gauge, gauge } from 'proxy-wasm-assemblyscript-sdk';
import { Reason } from './judged';

const PREFIX = 'causeway_outlier_blacklist_';
const REASONS: string[] = ['other', 'errors', 'connections', 'slow', 'probe', 'centre'];

/** What the filter counts for one service; README.md explains each. */
@final
export class ServiceMetrics {
  readonly overridden: Counter;
  readonly returned: Counter;
  readonly out: Gauge;
  private readonly listed: Counter[] = [];

  constructor(service: string) {
    const labels = '.service.' + service;
    this.overridden = counter(PREFIX + 'overridden_total' + labels);
    this.returned = counter(PREFIX + 'returned_total' + labels);
    this.out = gauge(PREFIX + 'hosts_out' + labels);
    for (let i = 0; i < REASONS.length; i++) {
      this.listed.push(counter(PREFIX + 'listed_total' + labels + '.reason.' + REASONS[i]));
    }
  }

  countListed(reason: Reason): void {
    unchecked(this.listed[reason]).add();
  }
}

export function reasonName(reason: Reason): string {
  return REASONS[reason];
}

/** Outliers that have to stay, since too many hosts of their lane are out already. */
export function spared(): Gauge {
  return gauge(PREFIX + 'hosts_spared');
}

/** Hosts that the healing centre wants out and that stay, for the same reason. */
export function barred(): Gauge {
  return gauge(PREFIX + 'verdicts_spared');
}

/** Requests of hosts past the number that is counted. */
export function uncounted(): Counter {
  return counter(PREFIX + 'uncounted_total');
}
