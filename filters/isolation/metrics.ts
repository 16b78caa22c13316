import { Counter, counter, Gauge, gauge } from 'proxy-wasm-assemblyscript-sdk';

const PREFIX = 'causeway_isolation_';

/** What the filter counts; README.md explains each. Made at configure time, because a definition is a host call. */
@final
export class IsolationMetrics {
  /** By `Closed`; the first is for rules. */
  readonly refused: StaticArray<Counter> = [
    counter(PREFIX + 'refused_total.reason.rule'),
    counter(PREFIX + 'refused_total.reason.isolated'),
    counter(PREFIX + 'refused_total.reason.offline'),
    counter(PREFIX + 'refused_total.reason.starting'),
  ];
  readonly checks: Counter = counter(PREFIX + 'checks_refused_total');
  readonly diagnosis: Counter = counter(PREFIX + 'diagnosis_total');
  readonly reset: Counter = counter(PREFIX + 'reset_total');
  /** 0 = lets requests in, else why not, as the order of `refused` says. */
  readonly state: Gauge = gauge(PREFIX + 'state');
}
