import { byteAt, lenOf, ptrOf, Slice, text } from '../slice';
import { describeSchema, describeValue, keysOf, pathOf } from './describe';
import { matchesFormat } from './formats';
import { Json, JsonKind } from './json';

/**
 * Interprets the subset of JSON Schema that `tools/generate.ts` lets through: type, const, enum, minimum, maximum,
 * minLength, maxLength, format, items, minItems, maxItems, uniqueItems, properties, required, additionalProperties,
 * propertyNames, minProperties, maxProperties, anyOf, `$ref` to `#/$defs/…`, and default.
 *
 * Depth is bounded by the value's own depth (JsonLimits), since every `$ref` of the schema sits below an array or object.
 */

/** What is wrong, where. The path grows from the inside while the walk returns. */
@final
export class Problem {
  path: string = '';

  constructor(
    readonly found: string,
    readonly expected: string,
  ) {}

  toString(): string {
    return `${this.path}: found ${this.found}, expected ${this.expected}`;
  }
}

/**
 * Checks `value` against `#/$defs/<definition>` of `schema`. Null: it holds, and absent keys with a `default` have been
 * added. Otherwise the first problem as `<path>: found X, expected Y`, its path starting with `path`.
 */
export function validate(schema: Json, definition: string, value: Json, path: string): string | null {
  const definitions = schema.get('$defs');
  if (definitions === null) return `${path}: found no schema, expected one`;
  const start = definitions.get(definition);
  if (start === null) return `${path}: found no schema, expected one named "${definition}"`;
  const problem = new Validator(definitions).check(start, value);
  if (problem === null) return null;
  problem.path = path + problem.path;
  // Under an empty root path the first key starts the path.
  if (problem.path.startsWith('.')) problem.path = problem.path.slice(1);
  if (problem.path.length === 0) problem.path = 'configuration';
  return problem.toString();
}

@final
class Validator {
  /** False while an alternative is only tried: a refused one must leave no defaults behind. */
  private fill: bool = true;

  constructor(private readonly definitions: Json) {}

  check(schema: Json, value: Json): Problem | null {
    const target = this.resolve(schema);
    if (target === null) return new Problem('no schema', 'a definition');
    const alternatives = target.get('anyOf');
    if (alternatives !== null) return this.alternatives(target, alternatives, value);
    if (!this.fits(target, value)) return this.problem(target, value);
    switch (value.kind) {
      case JsonKind.String:
        return this.string(target, value) ? null : this.problem(target, value);
      case JsonKind.Number:
        return this.number(target, value.number) ? null : this.problem(target, value);
      case JsonKind.Array:
        return this.array(target, value);
      case JsonKind.Object:
        return this.object(target, value);
      default:
        return null;
    }
  }

  private problem(schema: Json, value: Json): Problem {
    return new Problem(describeValue(value), describeSchema(this.definitions, schema));
  }

  private resolve(schema: Json): Json | null {
    let target: Json | null = schema;
    // A reference to a reference is legal; the bound keeps a circle from hanging the worker.
    for (let i = 0; i < 8; i++) {
      if (target === null) return null;
      const reference = target.textOf('$ref');
      if (lenOf(reference) === 0) return target;
      target = this.definitions.get(text(reference).slice('#/$defs/'.length));
    }
    return null;
  }

  /** The alternative whose kind of value this is explains best what is wrong; with several, all are named. */
  private alternatives(schema: Json, alternatives: Json, value: Json): Problem | null {
    const fill = this.fill;
    let closest: Problem | null = null;
    let fitting = 0;
    for (let i = 0; i < alternatives.items.length; i++) {
      const alternative = alternatives.items[i];
      this.fill = false;
      const problem = this.check(alternative, value);
      this.fill = fill;
      if (problem === null) return fill ? this.check(alternative, value) : null;
      const target = this.resolve(alternative);
      if (target !== null && !target.has('anyOf') && this.fits(target, value)) {
        closest = problem;
        fitting++;
      }
    }
    return closest !== null && fitting === 1 ? closest : this.problem(schema, value);
  }

  /** `type`, `const` and `enum`. */
  private fits(schema: Json, value: Json): bool {
    const type = schema.get('type');
    if (type !== null && !hasType(type, value)) return false;
    const constant = schema.get('const');
    if (constant !== null && !sameJson(constant, value)) return false;
    const choices = schema.get('enum');
    if (choices === null) return true;
    for (let i = 0; i < choices.items.length; i++) {
      if (sameJson(choices.items[i], value)) return true;
    }
    return false;
  }

  private string(schema: Json, value: Json): bool {
    const length = codePoints(value.text) as f64;
    if (length < schema.numberOf('minLength', 0) || length > schema.numberOf('maxLength', Infinity)) return false;
    const format = schema.get('format');
    return format === null || matchesFormat(format.text, value.text);
  }

  private number(schema: Json, value: f64): bool {
    return value >= schema.numberOf('minimum', -Infinity) && value <= schema.numberOf('maximum', Infinity);
  }

  private array(schema: Json, value: Json): Problem | null {
    const items = value.items;
    const count = items.length as f64;
    if (count < schema.numberOf('minItems', 0) || count > schema.numberOf('maxItems', Infinity)) {
      return this.problem(schema, value);
    }
    const item = schema.get('items');
    if (item !== null) {
      for (let i = 0; i < items.length; i++) {
        const problem = this.check(item, items[i]);
        if (problem !== null) return within(problem, `[${i}]`);
      }
    }
    return schema.boolOf('uniqueItems', false) ? unique(items) : null;
  }

  private object(schema: Json, value: Json): Problem | null {
    const properties = schema.get('properties');
    const others = schema.get('additionalProperties');
    const names = schema.get('propertyNames');
    for (let i = 0; i < value.keys.length; i++) {
      if (names !== null) {
        const name = new Json(JsonKind.String, value.document);
        name.text = value.keys[i];
        const problem = this.check(names, name);
        if (problem !== null) {
          return within(
            new Problem(`the key ${problem.found}`, `a key that is ${problem.expected}`),
            pathOf(name.text),
          );
        }
      }
      const refused = others !== null && others.kind === JsonKind.Bool && !others.bool;
      if (refused && valueAt(properties, value.keys[i]) === null) {
        return within(new Problem('an unknown key', keysOf(properties)), pathOf(value.keys[i]));
      }
    }
    const required = schema.itemsOf('required');
    for (let i = 0; i < required.length; i++) {
      if (valueAt(value, required[i].text) !== null) continue;
      const missing = valueAt(properties, required[i].text);
      const expected = missing === null ? 'a value' : describeSchema(this.definitions, missing);
      return within(new Problem('nothing', expected), pathOf(required[i].text));
    }
    const count = value.keys.length as f64;
    if (count < schema.numberOf('minProperties', 0) || count > schema.numberOf('maxProperties', Infinity)) {
      return this.problem(schema, value);
    }
    for (let i = 0; i < value.keys.length; i++) {
      let expected = valueAt(properties, value.keys[i]);
      if (expected === null && others !== null && others.kind === JsonKind.Object) expected = others;
      if (expected === null) continue;
      const problem = this.check(expected, value.items[i]);
      if (problem !== null) return within(problem, pathOf(value.keys[i]));
    }
    if (this.fill && properties !== null) addDefaults(properties, value);
    return null;
  }
}

function within(problem: Problem, step: string): Problem {
  problem.path = step + problem.path;
  return problem;
}

function addDefaults(properties: Json, value: Json): void {
  for (let i = 0; i < properties.keys.length; i++) {
    const initial = properties.items[i].get('default');
    if (initial === null || valueAt(value, properties.keys[i]) !== null) continue;
    value.keys.push(properties.keys[i]);
    value.items.push(initial);
  }
}

function valueAt(object: Json | null, key: Slice): Json | null {
  if (object === null) return null;
  for (let i = 0, n = object.keys.length; i < n; i++) {
    if (sameBytes(object.keys[i], key)) return object.items[i];
  }
  return null;
}

function hasType(type: Json, value: Json): bool {
  switch (value.kind) {
    case JsonKind.Null:
      return type.is('null');
    case JsonKind.Bool:
      return type.is('boolean');
    case JsonKind.Number:
      return type.is('number') || (type.is('integer') && Math.floor(value.number) === value.number);
    case JsonKind.String:
      return type.is('string');
    case JsonKind.Array:
      return type.is('array');
    default:
      return type.is('object');
  }
}

function unique(items: Json[]): Problem | null {
  for (let i = 1; i < items.length; i++) {
    for (let j = 0; j < i; j++) {
      if (sameJson(items[i], items[j])) {
        return within(new Problem(`${describeValue(items[i])} a second time`, 'different elements'), `[${i}]`);
      }
    }
  }
  return null;
}

/** Deep equality; the order of keys does not matter. */
function sameJson(a: Json, b: Json): bool {
  if (a.kind !== b.kind || a.items.length !== b.items.length) return false;
  switch (a.kind) {
    case JsonKind.Bool:
      return a.bool === b.bool;
    case JsonKind.Number:
      return a.number === b.number;
    case JsonKind.String:
      return sameBytes(a.text, b.text);
    case JsonKind.Array: {
      for (let i = 0; i < a.items.length; i++) {
        if (!sameJson(a.items[i], b.items[i])) return false;
      }
      return true;
    }
    case JsonKind.Object: {
      for (let i = 0; i < a.items.length; i++) {
        const other = valueAt(b, a.keys[i]);
        if (other === null || !sameJson(a.items[i], other)) return false;
      }
      return true;
    }
    default:
      return true;
  }
}

function sameBytes(a: Slice, b: Slice): bool {
  const length = lenOf(a);
  return length === lenOf(b) && memory.compare(ptrOf(a), ptrOf(b), length) === 0;
}

/** JSON Schema counts characters, not bytes: every byte that does not continue a UTF-8 sequence starts one. */
function codePoints(s: Slice): i32 {
  let count = 0;
  for (let i = 0, n = lenOf(s); i < n; i++) {
    if ((byteAt(s, i) & 0xc0) !== 0x80) count++;
  }
  return count;
}
