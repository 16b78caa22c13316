import { addressHigh, addressLow, inBlock, parseAddress } from 'proxy-wasm-assemblyscript-sdk/config/cidr';
import {
  byteAt,
  endsWith,
  equal,
  hash64,
  lenOf,
  mix64,
  NONE,
  present,
  ptrOf,
  Slice,
  startsWith,
} from 'proxy-wasm-assemblyscript-sdk/slice';
import { PathTemplate, splitPath } from '../interface/template';
import { addressOnly, cookieValue, MAX_DECODED, OVERLONG, pathOnly, queryValue } from './request-values';

/**
 * Evaluation of compiled rules. A rule's tests lie one behind the other; each names the test that follows its success
 * and its failure, always one further on. So a request runs through a plan once, forwards, without a stack.
 *
 *   rule 0: all(A, not B)      rule 1: C
 *   test    A          B       C
 *   yes     B          C (*)   rule 1
 *   no      C (*)      rule 0  end
 *                              (*) = where rule 1 starts
 *
 * Inputs (a header, a cookie, …) are slots: each is read from the request at most once, and only when a test needs it.
 */

/** What rules may ask about a request. Slices live until the plan's evaluation ends; `NONE` = not there. */
export abstract class MatchSource {
  abstract header(name: Slice): Slice;
  /** Path with query. */
  abstract path(): Slice;
  abstract method(): Slice;
  /** Source address of the connection, with port. */
  abstract address(): Slice;
  /** First URI name in the caller's certificate, else its subject. */
  abstract identity(): Slice;
  /** The same number for one trace on every hop; 0 without a trace id. */
  abstract sticky(): u64;
  /** Whether the compiled expression answers true; false on every failure. */
  abstract cel(token: u32): bool;
}

export enum SlotKind {
  Header,
  Cookie,
  Query,
  FullPath,
  Path,
  Method,
  Identity,
  Address,
}

export enum TestKind {
  Always,
  Present,
  Absent,
  Exact,
  Prefix,
  Suffix,
  Template,
  In,
  Blocks,
  Percentage,
  Cel,
  /** Its success is the rule that the table names. */
  Table,
}

/** One input of a plan and its value in the current request. */
@final
export class Slot {
  /** Evaluation that `value` belongs to. */
  epoch: u32 = 0;
  value: Slice = NONE;
  /** Of an address; `parsed` false where it is none. */
  parsed: bool = false;
  high: u64 = 0;
  low: u64 = 0;
  /** Room for a decoded query value. */
  scratch: StaticArray<u8>;

  constructor(
    readonly kind: SlotKind,
    readonly name: Slice,
    /** The slot that this one is a part of: a cookie's header, a query parameter's path; itself where none. */
    readonly parent: i32,
  ) {
    this.scratch = new StaticArray<u8>(kind === SlotKind.Query ? MAX_DECODED : 0);
  }
}

const NO_TEXTS = new StaticArray<u64>(0);
const NO_BLOCKS = new StaticArray<Block>(0);

@final
export class Test {
  /** Of `In`. */
  texts: StaticArray<u64> = NO_TEXTS;
  /** Of `Blocks`. */
  blocks: StaticArray<Block> = NO_BLOCKS;
  /** Of `Percentage`: a trace is drawn when its number, mixed with the salt, is below `operand` (of 2^32). */
  salt: u64 = 0;
  /** Of `Template`. */
  template: PathTemplate | null = null;
  /** Of `Table`. */
  table: TextTable | null = null;

  constructor(
    readonly kind: TestKind,
    readonly slot: i32,
    /** The text of `Exact`, `Prefix` and `Suffix`, the token of `Cel`. */
    readonly operand: u64,
    /** Index of the next test, or `~rule`. */
    public yes: i32,
    public no: i32,
  ) {}
}

/** A CIDR block in its 128-bit form, see the SDK's cidr.ts. */
@final
export class Block {
  constructor(
    readonly high: u64,
    readonly low: u64,
    readonly bits: i32,
  ) {}
}

/** Texts to rules by hash: many rules that compare one input with a text cost as much as one. */
@final
export class TextTable {
  private readonly keys: StaticArray<u64>;
  private readonly rules: StaticArray<i32>;
  private longest: i32 = 0;

  /** `capacity`: a power of two, at least twice the number of texts. */
  constructor(capacity: i32) {
    this.keys = new StaticArray<u64>(capacity);
    this.rules = new StaticArray<i32>(capacity);
    for (let i = 0; i < capacity; i++) this.keys[i] = NONE;
  }

  /** Keeps what is there: the first rule of a text wins. */
  add(text: Slice, rule: i32): void {
    const at = this.seek(text);
    if (this.keys[at] !== NONE) return;
    this.keys[at] = text;
    this.rules[at] = rule;
    this.longest = max(this.longest, lenOf(text));
  }

  /** The rule of `text`, or -1. */
  find(text: Slice): i32 {
    if (text === NONE || lenOf(text) > this.longest) return -1;
    const at = this.seek(text);
    return unchecked(this.keys[at]) === NONE ? -1 : unchecked(this.rules[at]);
  }

  /** The place of `text`, or the free one where it belongs. Half of the places are free, so the walk ends. */
  private seek(text: Slice): i32 {
    const mask = this.keys.length - 1;
    let at = (hash64(text) as i32) & mask;
    while (unchecked(this.keys[at]) !== NONE && !equal(unchecked(this.keys[at]), text)) at = (at + 1) & mask;
    return at;
  }
}

/** Rules of one configuration, compiled. Holds every byte that its slices point to. */
@final
export class MatchPlan {
  private epoch: u32 = 0;

  constructor(
    private readonly slots: StaticArray<Slot>,
    private readonly tests: StaticArray<Test>,
    /** First test of each rule, and behind the last rule the number of tests. */
    private readonly starts: StaticArray<i32>,
    /** Compiled expressions, to be deleted with the plan. */
    readonly tokens: StaticArray<u32>,
    /** Holds the buffers against collection. */
    readonly memory: StaticArray<StaticArray<u8>>,
  ) {}

  get rules(): i32 {
    return this.starts.length - 1;
  }

  /** Forgets the values of the request before. Once per callback, before `first` or `matches`. */
  begin(): void {
    this.epoch++;
  }

  /** The first rule that matches, or -1. */
  first(source: MatchSource): i32 {
    return this.run(source, 0, this.tests.length);
  }

  /** Whether this one rule matches. */
  matches(rule: i32, source: MatchSource): bool {
    return this.run(source, unchecked(this.starts[rule]), unchecked(this.starts[rule + 1])) === rule;
  }

  /** Every step goes forwards, so it ends after at most `until - from` of them. */
  private run(source: MatchSource, from: i32, until: i32): i32 {
    let at = from;
    while (at < until) {
      const test = unchecked(this.tests[at]);
      if (test.kind === TestKind.Table) {
        const rule = test.table!.find(this.value(test.slot, source));
        if (rule >= 0) return rule;
        at = test.no;
        continue;
      }
      at = this.holds(test, source) ? test.yes : test.no;
      if (at < 0) return ~at;
    }
    return -1;
  }

  private holds(test: Test, source: MatchSource): bool {
    switch (test.kind) {
      case TestKind.Always:
        return true;
      case TestKind.Percentage:
        return drawn(test, source.sticky());
      case TestKind.Cel:
        return source.cel(test.operand as u32);
      case TestKind.Blocks:
        return this.inBlocks(test, source);
      default:
        return this.textHolds(test, this.value(test.slot, source));
    }
  }

  private textHolds(test: Test, value: Slice): bool {
    if (test.kind === TestKind.Present) return value !== NONE;
    if (test.kind === TestKind.Absent) return value === NONE;
    if (value === NONE || value === OVERLONG) return false;
    if (test.kind === TestKind.Exact) return equal(value, test.operand);
    if (test.kind === TestKind.Prefix) return startsWith(value, test.operand);
    if (test.kind === TestKind.Suffix) return endsWith(value, test.operand);
    if (test.kind === TestKind.Template) {
      splitPath(value);
      return test.template!.fits();
    }
    for (let i = 0; i < test.texts.length; i++) {
      if (equal(value, unchecked(test.texts[i]))) return true;
    }
    return false;
  }

  private inBlocks(test: Test, source: MatchSource): bool {
    this.value(test.slot, source);
    const slot = unchecked(this.slots[test.slot]);
    if (!slot.parsed) return false;
    return inAnyBlock(test.blocks, slot.high, slot.low);
  }

  /** The slot's value in this request, read at most once. A parent's index is lower than its part's: no circle. */
  private value(index: i32, source: MatchSource): Slice {
    const slot = unchecked(this.slots[index]);
    if (slot.epoch === this.epoch) return slot.value;
    slot.epoch = this.epoch;
    slot.value = this.read(slot, source);
    return slot.value;
  }

  private read(slot: Slot, source: MatchSource): Slice {
    switch (slot.kind) {
      case SlotKind.Header:
        return source.header(slot.name);
      case SlotKind.Cookie:
        return cookieValue(this.value(slot.parent, source), slot.name);
      case SlotKind.Query:
        return queryValue(this.value(slot.parent, source), slot.name, changetype<usize>(slot.scratch));
      case SlotKind.FullPath:
        return source.path();
      case SlotKind.Path:
        return pathOnly(this.value(slot.parent, source));
      case SlotKind.Method:
        return source.method();
      case SlotKind.Identity:
        return source.identity();
      default: {
        const address = addressOnly(source.address());
        slot.parsed = parseAddress(address, 0, lenOf(address));
        slot.high = addressHigh;
        slot.low = addressLow;
        return address;
      }
    }
  }
}

function drawn(test: Test, sticky: u64): bool {
  return sticky !== 0 && mix64(sticky ^ test.salt) >> 32 < test.operand;
}

export function inAnyBlock(blocks: StaticArray<Block>, high: u64, low: u64): bool {
  for (let i = 0; i < blocks.length; i++) {
    const block = unchecked(blocks[i]);
    if (inBlock(high, low, block.high, block.low, block.bits)) return true;
  }
  return false;
}
