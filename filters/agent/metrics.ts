import { Counter, counter, Gauge, gauge } from 'proxy-wasm-assemblyscript-sdk';
import { Outcome } from './host-scanner';

const PREFIX = 'causeway_agent_';

/** What the agent counts; README.md explains each. */
@final
export class AgentMetrics {
  readonly pressureOk: Counter = polls('pressure', 'ok');
  readonly pressureFailed: Counter = polls('pressure', 'failed');
  readonly hostsFailed: Counter = polls('hosts', 'failed');
  /** By `Outcome`. */
  private readonly hosts: StaticArray<Counter> = [
    polls('hosts', 'ok'),
    polls('hosts', 'absent'),
    polls('hosts', 'malformed'),
    polls('hosts', 'too_many'),
  ];
  readonly listed: Gauge = gauge(`${PREFIX}hosts`);
  readonly tooLarge: Gauge = gauge(`${PREFIX}clusters_too_large`);
  readonly pressurePeriod: Gauge = gauge(`${PREFIX}period_milliseconds.kind.pressure`);
  readonly hostsPeriod: Gauge = gauge(`${PREFIX}period_milliseconds.kind.hosts`);
  readonly pressureCost: Gauge = gauge(`${PREFIX}cost_microseconds.kind.pressure`);
  readonly hostsCost: Gauge = gauge(`${PREFIX}cost_microseconds.kind.hosts`);

  countHosts(outcome: Outcome): void {
    this.hosts[outcome].add();
  }
}

function polls(kind: string, result: string): Counter {
  return counter(`${PREFIX}polls_total.kind.${kind}.result.${result}`);
}
