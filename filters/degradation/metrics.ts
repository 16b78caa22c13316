import { Counter, counter } from 'proxy-wasm-assemblyscript-sdk';

const PREFIX = 'causeway_degradation_';

/** What one interface of one service with a breaker counts; README.md explains each. */
@final
export class BreakerMetrics {
  readonly refused: Counter;
  readonly probed: Counter;
  readonly opened: Counter;
  readonly closed: Counter;

  constructor(service: string, interface_: string) {
    const labels = `.service.${label(service)}.interface.${label(interface_)}`;
    this.refused = total('refused', labels);
    this.probed = total('probes', labels);
    this.opened = total('opened', labels);
    this.closed = total('closed', labels);
  }
}

/** `event` of a rule, `dropped` or `cut`. */
export function ruleCounter(event: string, rule: string): Counter {
  return total(event, `.rule.${label(rule)}`);
}

/** What was not believed: `bad_class`, `bad_threshold`. */
export function ignoredCounter(reason: string): Counter {
  return total('ignored', `.reason.${reason}`);
}

function total(event: string, labels: string): Counter {
  return counter(PREFIX + event + '_total' + labels);
}

/** A dot would end the label. */
function label(name: string): string {
  return name.replaceAll('.', '_');
}
