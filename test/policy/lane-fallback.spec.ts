import { ascii, NONE, Slice, text } from 'proxy-wasm-assemblyscript-sdk/slice';
import { Chain, encodeChain } from '../../filters/lane-fallback/chain';
import { add, addPair, begin, finish } from '../../filters/lane-fallback/encode';
import { NameTable, UNKNOWN } from '../../filters/lane-fallback/name-table';
import {
  LanePolicy,
  NO_RULE,
  RequestView,
  ServicePolicy,
  Share,
  SteeringRule,
  Target,
} from '../../filters/lane-fallback/policy';

const STAGES = 1;

class View extends RequestView {
  asked: i32 = 0;
  trace: u64 = 1;
  answer: bool = true;

  matches(rule: i32): bool {
    this.asked++;
    return this.answer;
  }

  sticky(): u64 {
    return this.trace;
  }
}

function chain(names: string[], closed: bool = false, instance: string = ''): Chain {
  const lanes: Slice[] = [];
  for (let i = 0; i < names.length; i++) lanes.push(ascii(names[i]));
  const made = new Chain(StaticArray.fromArray(lanes), closed, instance.length > 0 ? ascii(instance) : NONE);
  made.prepare(STAGES, ascii('base'));
  return made;
}

/** Lanes base (0), dev1 (1), gold (2, strict); service 0 has no shards, service 1 has, with an own chain for dev1. */
function policy(rules: SteeringRule[]): LanePolicy {
  const table = new NameTable(3, false);
  table.add(ascii('base'), 0);
  table.add(ascii('dev1'), 1);
  table.add(ascii('gold'), 2);
  const base = new Chain(StaticArray.fromArray([ascii('base')]), false);
  const lanes = StaticArray.fromArray([base, chain(['dev1', 'base']), chain(['gold'], true)]);
  const own = new Map<i32, Chain>();
  own.set(1, chain(['dev1', 'grp2', 'base']));
  const services = StaticArray.fromArray([new ServicePolicy(NONE, null), new ServicePolicy(ascii('3'), own)]);
  return new LanePolicy(table, lanes, services, StaticArray.fromArray(rules), STAGES, ascii('base'));
}

function rule(
  share: Share,
  targets: Target[],
  services: bool[] | null = null,
  lanes: bool[] | null = null,
): SteeringRule {
  return new SteeringRule(
    share,
    services === null ? null : StaticArray.fromArray(services),
    lanes === null ? null : StaticArray.fromArray(lanes),
    StaticArray.fromArray(targets),
  );
}

function listOf(p: LanePolicy): string {
  if (p.lane !== NONE) return `lane ${text(p.lane)}`;
  return p.list === NONE ? '-' : text(p.list);
}

/** Golden values: made by an independent encoder (test/filters/fallback-list.ts). */
const DEV1_BASE_EXPECTED = 'MigKEioQCg4KBGxhbmUSBhoEZGV2MQoSKhAKDgoEbGFuZRIGGgRiYXNl';
const THREE_LANES_TWO_STAGES =
  'MmYKEioQCg4KBGxhbmUSBhoEZGV2MQoSKhAKDgoEbGFuZRIGGgRncnAyChIqEAoOCgRsYW5lEgYaBGJhc2UKEyoRCg8KBWxhbmUyEgYaBGdycDIKEyoRCg8KBWxhbmUyEgYaBGJhc2U=';
const TWO_LANES_THREE_STAGES =
  'MlIKEioQCg4KBGxhbmUSBhoEZGV2MQoSKhAKDgoEbGFuZRIGGgRiYXNlChMqEQoPCgVsYW5lMhIGGgRiYXNlChMqEQoPCgVsYW5lMxIGGgRiYXNl';
const GOLD = 'Mj4KEioQCg4KBGxhbmUSBhoEZ29sZAoTKhEKDwoFbGFuZTISBhoEZ29sZAoTKhEKDwoFbGFuZTMSBhoEZ29sZA==';
const SHARDED =
  'MmwKICoeCg4KBGxhbmUSBhoEZGV2MQoMCgVzaGFyZBIDGgEzChIqEAoOCgRsYW5lEgYaBGRldjEKICoeCg4KBGxhbmUSBhoEYmFzZQoMCgVzaGFyZBIDGgEzChIqEAoOCgRsYW5lEgYaBGJhc2U=';
const PINNED = 'MjYKICoeChwKCGluc3RhbmNlEhAaDnJldmlld3MtYmFzZS0xChIqEAoOCgRsYW5lEgYaBGJhc2U=';
const LONG =
  'MuEBCt4BKtsBCtgBCghpbnN0YW5jZRLLARrIAWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlp';

describe('the list', () => {
  it('is what a protobuf encoder makes of it', () => {
    expect<string>(text(encodeChain(chain(['dev1', 'base']), 1, NONE))).toBe(DEV1_BASE_EXPECTED);
  });

  it('has every stage, from its own lane on', () => {
    expect<string>(text(encodeChain(chain(['dev1', 'grp2', 'base']), 2, NONE))).toBe(THREE_LANES_TWO_STAGES);
  });

  it('has the last lane at every stage past its end', () => {
    expect<string>(text(encodeChain(chain(['dev1', 'base']), 3, NONE))).toBe(TWO_LANES_THREE_STAGES);
    expect<string>(text(encodeChain(chain(['gold'], true), 3, NONE))).toBe(GOLD);
  });

  it('asks for the shard first, lane by lane', () => {
    expect<string>(text(encodeChain(chain(['dev1', 'base']), 1, ascii('3')))).toBe(SHARDED);
  });

  it('names a pinned instance before the lanes', () => {
    expect<string>(text(encodeChain(chain(['base'], false, 'reviews-base-1'), 1, NONE))).toBe(PINNED);
  });

  it('is none rather than cut off when it does not fit', () => {
    begin();
    const long = ascii('x'.repeat(500));
    for (let i = 0; i < 100; i++) add(long, long);
    expect<bool>(finish() === NONE).toBe(true);
    begin();
    addPair(ascii('lane'), ascii('dev1'), ascii('shard'), ascii('3'));
    expect<bool>(finish() === NONE).toBe(false);
  });

  it('writes lengths of two bytes', () => {
    begin();
    add(ascii('instance'), ascii('i'.repeat(200)));
    expect<string>(text(finish())).toBe(LONG);
  });
});

describe('names', () => {
  it('finds a thousand of them, with and without letter case', () => {
    const exact = new NameTable(1000, false);
    const folded = new NameTable(1000, true);
    for (let i = 0; i < 1000; i++) {
      exact.add(ascii(`lane-${i}`), i);
      folded.add(ascii(`lane-${i}`), i);
    }
    for (let i = 0; i < 1000; i++) {
      expect<i32>(exact.find(ascii(`lane-${i}`))).toBe(i);
      expect<i32>(folded.find(ascii(`LANE-${i}`))).toBe(i);
    }
    expect<i32>(exact.find(ascii('LANE-1'))).toBe(UNKNOWN);
    expect<i32>(exact.find(ascii('lane-1000'))).toBe(UNKNOWN);
    expect<i32>(exact.find(ascii(''))).toBe(UNKNOWN);
  });

  it('keeps the first number of a name', () => {
    const table = new NameTable(2, false);
    table.add(ascii('a'), 1);
    table.add(ascii('a'), 2);
    expect<i32>(table.find(ascii('a'))).toBe(1);
  });
});

describe('tags', () => {
  it('leaves untagged requests to the default of the route', () => {
    const p = policy([]);
    p.decide(NONE, 0, new View());
    expect<string>(listOf(p)).toBe('-');
    expect<i32>(p.wanted).toBe(0);
    expect<bool>(p.strict).toBe(false);
    p.decide(ascii('base'), UNKNOWN, new View());
    expect<string>(listOf(p)).toBe('-');
  });

  it('gives a known lane its chain', () => {
    const p = policy([]);
    p.decide(ascii('dev1'), 0, new View());
    expect<string>(listOf(p)).toBe('lane dev1');
    expect<i32>(p.wanted).toBe(1);
  });

  it('gives an unknown lane [tag, baseline]', () => {
    const p = policy([]);
    p.decide(ascii('dev9'), 0, new View());
    expect<string>(listOf(p)).toBe('lane dev9');
    expect<i32>(p.wanted).toBe(UNKNOWN);
    expect<bool>(p.badTag).toBe(false);
  });

  it('takes what is no tag for no tag', () => {
    const bad = ['dev1, dev2', '-', 'x'.repeat(64), 'dev\x01', ''];
    for (let i = 0; i < bad.length; i++) {
      const p = policy([]);
      p.decide(ascii(bad[i]), 0, new View());
      expect<bool>(p.badTag).toBe(true, bad[i]);
      expect<string>(listOf(p)).toBe('-');
      expect<i32>(p.wanted).toBe(0);
    }
  });

  it('keeps a strict lane to itself', () => {
    const p = policy([]);
    p.decide(ascii('gold'), 0, new View());
    expect<bool>(p.strict).toBe(true);
    expect<string>(listOf(p)).toBe('lane gold');
    p.decide(ascii('dev1'), 0, new View());
    expect<bool>(p.strict).toBe(false);
  });

  it('follows the chain that a service has for the lane, by shard', () => {
    const p = policy([]);
    p.decide(ascii('dev1'), 1, new View());
    expect<string>(listOf(p)).toBe(text(encodeChain(chain(['dev1', 'grp2', 'base']), STAGES, ascii('3'))));
    p.decide(NONE, 1, new View());
    expect<string>(listOf(p)).toBe(text(encodeChain(chain(['base']), STAGES, ascii('3'))));
  });
});

describe('steering', () => {
  it('takes the first rule that covers service and lane and whose matcher holds', () => {
    const all = new Share(100, ascii('r'));
    const p = policy([
      rule(all, [new Target(chain(['a', 'base']), 1)], [false, true]),
      rule(all, [new Target(chain(['b', 'base']), 1)], null, [false, true, false]),
      rule(all, [new Target(chain(['c']), 1)]),
    ]);
    const view = new View();
    p.decide(ascii('dev1'), 0, view);
    expect<i32>(p.rule).toBe(1);
    expect<i32>(view.asked).toBe(1);
    expect<i32>(p.wanted).toBe(1);
    p.decide(NONE, 0, view);
    expect<i32>(p.rule).toBe(2);
    p.decide(ascii('dev9'), UNKNOWN, view);
    expect<i32>(p.rule).toBe(2);
    view.answer = false;
    p.decide(ascii('dev1'), 0, view);
    expect<i32>(p.rule).toBe(NO_RULE);
    expect<string>(listOf(p)).toBe('lane dev1');
  });

  it('draws the same share of traces, whoever asks', () => {
    const ten = new Share(10, ascii('canary'));
    const again = new Share(10, ascii('canary'));
    const twenty = new Share(20, ascii('canary'));
    const other = new Share(10, ascii('another'));
    let drawn = 0;
    let both = 0;
    for (let i: u64 = 1; i <= 20000; i++) {
      const trace = i * 0x9e3779b97f4a7c15;
      if (!ten.draws(trace)) continue;
      drawn++;
      expect<bool>(again.draws(trace)).toBe(true);
      expect<bool>(twenty.draws(trace)).toBe(true);
      if (other.draws(trace)) both++;
    }
    expect<bool>(drawn > 1850 && drawn < 2150).toBe(true, drawn.toString());
    expect<bool>(both > 120 && both < 290).toBe(true, both.toString());
    expect<bool>(ten.draws(0)).toBe(false);
    expect<bool>(new Share(100, ascii('x')).draws(0)).toBe(true);
    expect<bool>(new Share(0, ascii('x')).draws(1)).toBe(false);
  });

  it('spreads over targets by weight', () => {
    const spread = rule(new Share(50, ascii('r')), [
      new Target(chain(['a']), 1),
      new Target(chain(['b']), 3),
      new Target(chain(['c']), 4),
    ]);
    const seen = new StaticArray<i32>(128);
    for (let i: u64 = 1; i <= 8000; i++) {
      const lane = spread.choose(i * 0x9e3779b97f4a7c15).lanes[0];
      seen[text(lane).charCodeAt(0)]++;
    }
    expect<bool>(seen[97] > 1850 && seen[97] < 2150).toBe(true, seen[97].toString());
    expect<bool>(seen[98] > 3800 && seen[98] < 4200).toBe(true, seen[98].toString());
    expect<bool>(seen[99] > 1850 && seen[99] < 2150).toBe(true, seen[99].toString());
  });
});
