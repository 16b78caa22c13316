/** The lanes of one configuration: their numbers, their chains, their labels. */

import { equalsText, Json } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { ascii, NONE, Slice, text } from 'proxy-wasm-assemblyscript-sdk/slice';
import { Chain } from './chain';
import { NameTable, UNKNOWN } from './name-table';
import { BASELINE } from './policy';

@final
export class LaneSet {
  readonly table: NameTable;
  private readonly names: Slice[] = [];
  private readonly ordered: Chain[] = [];
  private readonly baseline: Slice;

  /** Numbers every lane that the configuration mentions: a name that only a rule has is a lane like an unknown tag's. */
  constructor(
    section: Json,
    private readonly stages: i32,
  ) {
    const lanes = section.itemsOf('lanes');
    const rules = section.itemsOf('steering');
    const services = section.itemsOf('services');
    let most = lanes.length + 1;
    for (let i = 0; i < rules.length; i++) most += rules[i].itemsOf('lanes').length;
    for (let i = 0; i < services.length; i++) most += services[i].itemsOf('lanes').length;
    for (let i = 0; i < lanes.length; i++) most += lanes[i].itemsOf('chain').length;
    for (let i = 0; i < rules.length; i++) most += targetLanes(rules[i]);
    this.table = new NameTable(most, false);
    this.baseline = section.textOf('baseline');

    // The baseline's list stays `NONE`: it is the route's default.
    this.append(this.baseline, new Chain(StaticArray.fromArray([this.baseline]), false));
    for (let i = 0; i < lanes.length; i++) {
      const name = lanes[i].textOf('name');
      if (this.table.find(name) === UNKNOWN) this.append(name, this.chainOf(lanes[i]));
    }
    for (let i = 0; i < lanes.length; i++) this.mention(lanes[i].itemsOf('chain'));
    for (let i = 0; i < rules.length; i++) {
      this.mention(rules[i].itemsOf('lanes'));
      const targets = rules[i].itemsOf('to');
      for (let j = 0; j < targets.length; j++) this.mention(targets[j].itemsOf('lanes'));
    }
    for (let i = 0; i < services.length; i++) {
      const own = services[i].itemsOf('lanes');
      for (let j = 0; j < own.length; j++) this.mentionName(own[j].textOf('name'));
    }
  }

  count(): i32 {
    return this.names.length;
  }

  /** Number of a lane that the configuration mentions. */
  numberOf(name: Slice): i32 {
    return this.table.find(name);
  }

  chains(): StaticArray<Chain> {
    return StaticArray.fromArray(this.ordered);
  }

  labels(): string[] {
    const labels: string[] = [];
    for (let i = 0; i < this.names.length; i++) labels.push(text(this.names[i]).replaceAll('.', '_'));
    return labels;
  }

  /** The chain of an element of `lanes`. */
  chainOf(lane: Json): Chain {
    const strict = equalsText(lane.textOf('mode'), 'strict');
    const after = lane.itemsOf('chain');
    const lanes: Slice[] = [lane.textOf('name')];
    for (let i = 0; i < after.length; i++) lanes.push(after[i].text);
    if (!lane.has('chain') && !strict) lanes.push(this.baseline);
    return this.prepared(new Chain(StaticArray.fromArray(lanes), strict || !this.endsInBaseline(lanes)));
  }

  /** The chain of a steering rule's target. */
  targetChain(target: Json): Chain {
    if (target.has('instance')) {
      return this.prepared(new Chain(StaticArray.fromArray([this.baseline]), false, target.textOf('instance')));
    }
    const items = target.itemsOf('lanes');
    const lanes: Slice[] = [];
    for (let i = 0; i < items.length; i++) lanes.push(items[i].text);
    return this.prepared(new Chain(StaticArray.fromArray(lanes), !this.endsInBaseline(lanes)));
  }

  private prepared(chain: Chain): Chain {
    chain.prepare(this.stages, this.baseline);
    return chain;
  }

  private endsInBaseline(lanes: Slice[]): bool {
    return this.table.find(lanes[lanes.length - 1]) === BASELINE;
  }

  private mention(names: Json[]): void {
    for (let i = 0; i < names.length; i++) this.mentionName(names[i].text);
  }

  private mentionName(name: Slice): void {
    if (this.table.find(name) !== UNKNOWN) return;
    const chain = new Chain(StaticArray.fromArray([name, this.baseline]), false);
    this.append(name, this.prepared(chain));
  }

  private append(name: Slice, chain: Chain): void {
    this.table.add(name, this.ordered.length);
    this.names.push(name);
    this.ordered.push(chain);
  }
}

function targetLanes(rule: Json): i32 {
  const targets = rule.itemsOf('to');
  let count = 0;
  for (let i = 0; i < targets.length; i++) count += targets[i].itemsOf('lanes').length;
  return count;
}

const SMALL: Slice[] = [];

/** The number in decimal, permanent; one copy for each number ever asked for. */
export function decimal(value: i32): Slice {
  while (SMALL.length <= value) SMALL.push(NONE);
  if (SMALL[value] === NONE) SMALL[value] = ascii(value.toString());
  return SMALL[value];
}
