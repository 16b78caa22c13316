import { addressHigh, addressLow, parseCidr, prefixBits } from 'proxy-wasm-assemblyscript-sdk/config/cidr';
import { Json } from 'proxy-wasm-assemblyscript-sdk/config/json';
import {
  ascii,
  EMPTY,
  equal,
  hash64,
  lenOf,
  lower,
  NONE,
  ptrOf,
  Slice,
  slice,
} from 'proxy-wasm-assemblyscript-sdk/slice';
import { PathTemplate } from '../interface/template';
import { Block, MatchPlan, Slot, SlotKind, Test, TestKind, TextTable } from './matcher.policy';

/**
 * Compiles matchers, as `matcher.schema.ts` describes them and the schema has checked them, into a `MatchPlan`.
 */

/** Fewest neighbouring rules that test one input for whole texts, for which a table is worth its look-up. */
const TABLE_RULES: i32 = 4;

const COOKIE = ascii('cookie');

/** Compiles and forgets expressions of the Common Expression Language. */
export abstract class CelHost {
  /** A token, or -1 where the expression is none. */
  abstract create(expression: Slice): i64;
  abstract drop(token: u32): void;
}

/** Adds rules one by one, then builds the plan. Rules are numbered in the order they are added. */
@final
export class MatchCompiler {
  /** The expression that the host refused, as `path` and text; `NONE` where none was. */
  refusedPath: string = '';
  refused: Slice = NONE;

  private slots: Slot[] = [];
  private tests: Test[] = [];
  private starts: i32[] = [];
  private tokens: u32[] = [];
  private memory: StaticArray<u8>[] = [];
  private salt: u64 = 0;

  constructor(private readonly cel: CelHost) {}

  /**
   * Adds a rule and returns its number. `match` null matches everything. `salt`: what the rule's percentages draw by
   * unless they say otherwise, usually the rule's name; `path`: the matcher's place, for messages.
   */
  add(match: Json | null, salt: Slice, path: string): i32 {
    const rule = this.starts.length;
    this.starts.push(this.tests.length);
    this.salt = hash64(salt);
    if (match === null) {
      this.test(TestKind.Always, 0, 0, ~rule, this.tests.length + 1);
    } else {
      this.keep(match.document);
      this.compile(match, ~rule, this.tests.length + leaves(match), path);
    }
    return rule;
  }

  /** The plan, or null where the host refused an expression; then nothing is left behind in it. */
  build(): MatchPlan | null {
    if (this.refused !== NONE) {
      for (let i = 0; i < this.tokens.length; i++) this.cel.drop(this.tokens[i]);
      return null;
    }
    this.starts.push(this.tests.length);
    this.addTables();
    return new MatchPlan(
      StaticArray.fromArray(this.slots),
      StaticArray.fromArray(this.tests),
      StaticArray.fromArray(this.starts),
      StaticArray.fromArray(this.tokens),
      StaticArray.fromArray(this.memory),
    );
  }

  /** Emits the tests of `match` so that they go on at `yes` or `no`. */
  private compile(match: Json, yes: i32, no: i32, path: string): void {
    const kind = match.keys[0];
    const value = match.items[0];
    const inside = `${path}.${String.UTF8.decodeUnsafe(ptrOf(kind), lenOf(kind))}`;
    if (match.has('not')) {
      this.compile(value, no, yes, inside);
      return;
    }
    const every = match.has('all');
    if (every || match.has('any')) {
      let next = this.tests.length;
      for (let i = 0; i < value.items.length; i++) {
        const item = value.items[i];
        next += leaves(item);
        const last = i === value.items.length - 1;
        const onYes = every && !last ? next : yes;
        const onNo = every || last ? no : next;
        this.compile(item, onYes, onNo, `${inside}[${i}]`);
      }
      return;
    }
    this.leaf(match, value, yes, no, inside);
  }

  private leaf(match: Json, value: Json, yes: i32, no: i32, path: string): void {
    if (match.has('header')) this.text(value, this.header(this.lowered(value.textOf('name'))), yes, no);
    else if (match.has('cookie')) this.text(value, this.cookie(value.textOf('name')), yes, no);
    else if (match.has('query')) this.text(value, this.query(value.textOf('name')), yes, no);
    else if (match.has('path')) this.text(value, this.slot(SlotKind.Path, EMPTY, this.fullPath()), yes, no);
    else if (match.has('method')) this.text(value, this.slot(SlotKind.Method, EMPTY, -1), yes, no);
    else if (match.has('caller')) this.caller(value, yes, no);
    else if (match.has('percentage')) this.percentage(value, yes, no);
    else this.expression(value.text, yes, no, path);
  }

  /** A test with one of `present`, `exact`, `prefix`, `suffix`, `template`, `in`. */
  private text(test: Json, slot: i32, yes: i32, no: i32): void {
    const wanted = test.get('present');
    if (wanted !== null) this.test(wanted.bool ? TestKind.Present : TestKind.Absent, slot, 0, yes, no);
    else if (test.has('exact')) this.test(TestKind.Exact, slot, test.textOf('exact'), yes, no);
    else if (test.has('prefix')) this.test(TestKind.Prefix, slot, test.textOf('prefix'), yes, no);
    else if (test.has('suffix')) this.test(TestKind.Suffix, slot, test.textOf('suffix'), yes, no);
    else if (test.has('template')) {
      this.test(TestKind.Template, slot, 0, yes, no).template = new PathTemplate(test.textOf('template'));
    } else this.oneOf(test.itemsOf('in'), slot, yes, no);
  }

  private oneOf(values: Json[], slot: i32, yes: i32, no: i32): void {
    const texts = new StaticArray<u64>(values.length);
    for (let i = 0; i < values.length; i++) texts[i] = values[i].text;
    this.test(TestKind.In, slot, 0, yes, no).texts = texts;
  }

  private caller(value: Json, yes: i32, no: i32): void {
    const identity = value.get('identity');
    if (identity !== null) {
      this.text(identity, this.slot(SlotKind.Identity, EMPTY, -1), yes, no);
      return;
    }
    const slot = this.slot(SlotKind.Address, EMPTY, -1);
    this.test(TestKind.Blocks, slot, 0, yes, no).blocks = blocksOf(value.itemsOf('cidrs'));
  }

  private percentage(value: Json, yes: i32, no: i32): void {
    const salt = value.textOf('salt');
    const threshold = Math.round((value.numberOf('percent', 0) / 100) * 4294967296.0) as u64;
    this.test(TestKind.Percentage, 0, threshold, yes, no).salt = salt === NONE ? this.salt : hash64(salt);
  }

  private expression(source: Slice, yes: i32, no: i32, path: string): void {
    const token = this.refused === NONE ? this.cel.create(source) : -1;
    if (token >= 0) this.tokens.push(token as u32);
    else if (this.refused === NONE) {
      this.refused = source;
      this.refusedPath = path;
    }
    this.test(TestKind.Cel, 0, token as u64, yes, no);
  }

  private test(kind: TestKind, slot: i32, operand: u64, yes: i32, no: i32): Test {
    const test = new Test(kind, slot, operand, yes, no);
    this.tests.push(test);
    return test;
  }

  private header(name: Slice): i32 {
    return this.slot(SlotKind.Header, name, -1);
  }

  private cookie(name: Slice): i32 {
    return this.slot(SlotKind.Cookie, name, this.header(COOKIE));
  }

  private query(name: Slice): i32 {
    return this.slot(SlotKind.Query, name, this.fullPath());
  }

  private fullPath(): i32 {
    return this.slot(SlotKind.FullPath, EMPTY, -1);
  }

  /** The slot of this input, one for however many tests. A parent is made before its part and so has a lower index. */
  private slot(kind: SlotKind, name: Slice, parent: i32): i32 {
    for (let i = 0; i < this.slots.length; i++) {
      if (this.slots[i].kind === kind && equal(this.slots[i].name, name)) return i;
    }
    this.slots.push(new Slot(kind, name, parent < 0 ? this.slots.length : parent));
    return this.slots.length - 1;
  }

  private lowered(name: Slice): Slice {
    const length = lenOf(name);
    const bytes = new StaticArray<u8>(length);
    for (let i = 0; i < length; i++) bytes[i] = lower(load<u8>(ptrOf(name) + i));
    this.keep(bytes);
    return slice(changetype<usize>(bytes), length);
  }

  private keep(bytes: StaticArray<u8>): void {
    if (this.memory.length === 0 || this.memory[this.memory.length - 1] !== bytes) this.memory.push(bytes);
  }

  /**
   * Puts a table before each run of neighbouring rules that are one `exact` or `in` test of the same input, and moves
   * every target to where its test now lies. The rules' own tests stay behind the table: `matches` uses them.
   */
  private addTables(): void {
    const rules = this.starts.length - 1;
    const count = this.tests.length;
    const moved = new StaticArray<i32>(count + 1);
    const laid: Test[] = [];
    let runEnd = 0;
    for (let rule = 0; rule < rules; rule++) {
      const start = this.starts[rule];
      const end = this.starts[rule + 1];
      for (let i = start; i < end; i++) moved[i] = laid.length + i - start;
      if (rule >= runEnd) {
        runEnd = this.runFrom(rule);
        // The run's first rule now starts with the table, which gives the same verdict on it.
        if (runEnd - rule >= TABLE_RULES) laid.push(this.table(rule, runEnd));
        for (let i = start + 1; i < end; i++) moved[i] = laid.length + i - start;
      }
      for (let i = start; i < end; i++) laid.push(this.tests[i]);
    }
    moved[count] = laid.length;
    for (let i = 0; i < laid.length; i++) {
      const test = laid[i];
      if (test.yes >= 0) test.yes = moved[test.yes];
      if (test.no >= 0) test.no = moved[test.no];
    }
    for (let rule = 0; rule <= rules; rule++) this.starts[rule] = moved[this.starts[rule]];
    this.tests = laid;
  }

  /** The rule behind the run that starts with `first`. */
  private runFrom(first: i32): i32 {
    const rules = this.starts.length - 1;
    let end = first + 1;
    if (!this.tabular(first)) return end;
    while (end < rules && this.tabular(end) && this.slotOf(end) === this.slotOf(first)) end++;
    return end;
  }

  private tabular(rule: i32): bool {
    const at = this.starts[rule];
    if (this.starts[rule + 1] - at !== 1) return false;
    const test = this.tests[at];
    return test.yes < 0 && (test.kind === TestKind.Exact || test.kind === TestKind.In);
  }

  private slotOf(rule: i32): i32 {
    return this.tests[this.starts[rule]].slot;
  }

  private table(first: i32, end: i32): Test {
    let texts = 0;
    for (let rule = first; rule < end; rule++) texts += 1 + this.tests[this.starts[rule]].texts.length;
    let capacity = 8;
    while (capacity < texts * 2) capacity *= 2;
    const table = new TextTable(capacity);
    for (let rule = first; rule < end; rule++) {
      const test = this.tests[this.starts[rule]];
      if (test.kind === TestKind.Exact) table.add(test.operand, rule);
      for (let i = 0; i < test.texts.length; i++) table.add(test.texts[i], rule);
    }
    const test = new Test(TestKind.Table, this.slotOf(first), 0, ~first, this.starts[end]);
    test.table = table;
    return test;
  }
}

/** Blocks of CIDR texts that the schema has checked. */
export function blocksOf(cidrs: Json[]): StaticArray<Block> {
  const blocks = new StaticArray<Block>(cidrs.length);
  for (let i = 0; i < cidrs.length; i++) {
    parseCidr(cidrs[i].text);
    blocks[i] = new Block(addressHigh, addressLow, prefixBits);
  }
  return blocks;
}

/** Tests that `match` compiles to: its leaves. Depth is bounded by that of the configuration. */
function leaves(match: Json): i32 {
  const value = match.items[0];
  if (match.has('not')) return leaves(value);
  if (!match.has('all') && !match.has('any')) return 1;
  let count = 0;
  for (let i = 0; i < value.items.length; i++) count += leaves(value.items[i]);
  return count;
}
