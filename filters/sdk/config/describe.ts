import { byteAt, lenOf, NONE, Slice, sub, text } from '../slice';
import { Json, JsonKind } from './json';

/** Words for the messages of a refused configuration. Cold: allocates freely. */

/** Longest piece of a found string that a message repeats, bytes. */
const SHOWN = 60;

export function describeValue(value: Json): string {
  switch (value.kind) {
    case JsonKind.Null:
      return 'null';
    case JsonKind.Bool:
      return value.bool ? 'true' : 'false';
    case JsonKind.Number:
      return shortNumber(value.number);
    case JsonKind.String:
      return quoted(value.text);
    case JsonKind.Array:
      return `an array of ${value.items.length}`;
    default:
      return value.keys.length === 0 ? 'an object without keys' : `an object with the keys ${listOf(value.keys)}`;
  }
}

export function describeSchema(definitions: Json, schema: Json): string {
  const reference = schema.textOf('$ref');
  if (lenOf(reference) > 0) {
    const target = definitions.get(text(reference).slice('#/$defs/'.length));
    return target === null ? 'a value' : describeSchema(definitions, target);
  }
  const alternatives = schema.get('anyOf');
  if (alternatives !== null) {
    let all = '';
    for (let i = 0; i < alternatives.items.length; i++) {
      all += (i === 0 ? '' : ' or ') + describeSchema(definitions, alternatives.items[i]);
    }
    return all;
  }
  const constant = schema.get('const');
  if (constant !== null) return describeValue(constant);
  const choices = schema.get('enum');
  if (choices !== null) {
    let all = 'one of ';
    for (let i = 0; i < choices.items.length; i++) all += (i === 0 ? '' : ', ') + describeValue(choices.items[i]);
    return all;
  }
  const type = schema.get('type');
  if (type === null) return 'a value';
  if (type.is('string')) return describeString(definitions, schema);
  if (type.is('array')) return `an array${range(schema, 'minItems', 'maxItems', ' of ', ' elements')}`;
  if (type.is('object')) return describeObject(schema);
  if (type.is('boolean')) return 'true or false';
  if (type.is('null')) return 'null';
  return (type.is('integer') ? 'a whole number' : 'a number') + range(schema, 'minimum', 'maximum', ' ', '');
}

/** `one of a, b and c`: the keys that a schema's `properties` knows. */
export function keysOf(properties: Json | null): string {
  if (properties === null || properties.keys.length === 0) return 'no key';
  return properties.keys.length === 1 ? text(properties.keys[0]) : `one of ${listOf(properties.keys)}`;
}

/** A key as a step of a path: `.name`, or `["odd name"]`. */
export function pathOf(key: Slice): string {
  const length = lenOf(key);
  let plain = length > 0 && length <= SHOWN;
  for (let i = 0; plain && i < length; i++) {
    const byte = byteAt(key, i);
    const folded = byte | 0x20;
    plain = (folded >= 0x61 && folded <= 0x7a) || (byte >= 0x30 && byte <= 0x39) || byte === 0x2d || byte === 0x5f;
  }
  return plain ? `.${text(key)}` : `[${quoted(key)}]`;
}

/** `$formats` among the definitions says what each format is. */
function describeString(definitions: Json, schema: Json): string {
  let what = 'a string';
  const format = schema.get('format');
  if (format !== null) {
    const meanings = definitions.get('$formats');
    const meaning = meanings === null ? NONE : meanings.textOf(text(format.text));
    what = meaning === NONE ? `a ${text(format.text)}` : text(meaning);
  }
  return what + range(schema, 'minLength', 'maxLength', ' of ', ' characters');
}

function describeObject(schema: Json): string {
  const properties = schema.get('properties');
  if (properties === null) return `an object${range(schema, 'minProperties', 'maxProperties', ' with ', ' keys')}`;
  const count = range(schema, 'minProperties', 'maxProperties', '', ' of ');
  if (count.length === 0) return `an object with ${keysOf(properties).replace('one of', 'keys out of')}`;
  return `an object with ${count}${listOf(properties.keys)}`;
}

/** `<before>1 to 5<after>`, `at least`, `at most`, `exactly`, or nothing where neither bound is given. */
function range(schema: Json, lowKey: string, highKey: string, before: string, after: string): string {
  const low = schema.numberOf(lowKey, -Infinity);
  const high = schema.numberOf(highKey, Infinity);
  if (!isFinite(low) && !isFinite(high)) return '';
  let words = `${shortNumber(low)} to ${shortNumber(high)}`;
  if (low === high) words = `exactly ${shortNumber(low)}`;
  else if (!isFinite(high)) words = `at least ${shortNumber(low)}`;
  else if (!isFinite(low)) words = `at most ${shortNumber(high)}`;
  return before + words + after;
}

/** Up to six decimals. The language's own conversion of doubles is a few kilobytes of code. */
function shortNumber(value: f64): string {
  const magnitude = Math.abs(value);
  if (!(magnitude < 1e12)) return value < 0 ? 'less than -1000000000000' : 'more than 1000000000000';
  let whole = Math.floor(magnitude);
  let millionths = Math.round((magnitude - whole) * 1e6) as i32;
  if (millionths === 1000000) {
    whole += 1;
    millionths = 0;
  }
  let text = (value < 0 ? '-' : '') + (whole as i64).toString();
  if (millionths !== 0) {
    let decimals = millionths.toString().padStart(6, '0');
    while (decimals.endsWith('0')) decimals = decimals.slice(0, decimals.length - 1);
    text += `.${decimals}`;
  }
  return text;
}

/** A found string in quotes, cut where it is long; control characters, which could forge a log line, as "?". */
export function quoted(s: Slice): string {
  const shown = text(sub(s, 0, SHOWN));
  let plain = '"';
  for (let i = 0; i < shown.length; i++) {
    const code = shown.charCodeAt(i);
    plain += code < 0x20 || code === 0x7f ? '?' : shown.charAt(i);
  }
  return lenOf(s) > SHOWN ? `${plain}…"` : `${plain}"`;
}

function listOf(keys: Slice[]): string {
  let all = '';
  for (let i = 0; i < keys.length && i < 24; i++) {
    const path = pathOf(keys[i]);
    all += (i === 0 ? '' : ', ') + (path.startsWith('.') ? path.slice(1) : quoted(keys[i]));
  }
  return keys.length > 24 ? `${all}, …` : all;
}
