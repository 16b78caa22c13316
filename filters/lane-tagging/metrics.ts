import { Counter, counter } from 'proxy-wasm-assemblyscript-sdk';
import { text } from 'proxy-wasm-assemblyscript-sdk/slice';
import { TaggingConfig } from './config';

const PREFIX = 'causeway_lane_tagging_';

/** What the filter counts; README.md explains each. Made at configure time, because a definition is a host call. */
@final
export class TaggingMetrics {
  /** By rule. */
  readonly tagged: StaticArray<Counter>;
  readonly untagged: Counter = counter(`${PREFIX}untagged_total`);
  readonly kept: Counter = counter(`${PREFIX}kept_total`);
  readonly untrustedRemoved: Counter = counter(`${PREFIX}untrusted_removed_total`);
  readonly duplicate: Counter = counter(`${PREFIX}refused_total.reason.duplicate`);
  readonly malformed: Counter = counter(`${PREFIX}refused_total.reason.malformed`);

  constructor(config: TaggingConfig) {
    const rules = config.names.length;
    this.tagged = new StaticArray<Counter>(rules);
    for (let i = 0; i < rules; i++) {
      this.tagged[i] = counter(
        `${PREFIX}tagged_total.rule.${label(config.names[i])}.lane.${label(text(config.lanes[i]))}`,
      );
    }
  }
}

/** A name as a metric's label, spelt as `lane-fallback` spells it: a dot would end the label. */
function label(name: string): string {
  return name.replaceAll('.', '_');
}
