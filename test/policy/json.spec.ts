import { JsonKind, JsonLimits, parseError, parseJson } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { ascii, text } from 'proxy-wasm-assemblyscript-sdk/slice';

/** The value as text again, so that one comparison checks the whole tree. */
function show(source: string): string {
  const value = parseJson(ascii(source));
  if (value === null) return parseError();
  switch (value.kind) {
    case JsonKind.Null:
      return 'null';
    case JsonKind.Bool:
      return value.bool ? 'true' : 'false';
    case JsonKind.Number:
      return value.number.toString();
    case JsonKind.String:
      return `'${text(value.text)}'`;
    case JsonKind.Array:
      return `array of ${value.items.length}`;
    default: {
      let keys = '';
      for (let i = 0; i < value.keys.length; i++) keys += `${text(value.keys[i])},`;
      return keys;
    }
  }
}

function nested(depth: i32): string {
  return '['.repeat(depth) + ']'.repeat(depth);
}

describe('parseJson', () => {
  it('reads every kind of value', () => {
    expect<string>(show(' null ')).toBe('null');
    expect<string>(show('true')).toBe('true');
    expect<string>(show('\n\t\rfalse')).toBe('false');
    expect<string>(show('[1, [2], {"a": 3}]')).toBe('array of 3');
    expect<string>(show('{"a":{"b":[]},"":null,"c":1}')).toBe('a,,c,');
    expect<string>(show('[]')).toBe('array of 0');
    expect<string>(show('{ }')).toBe('');
  });

  it('reads numbers as doubles', () => {
    expect<string>(show('0')).toBe('0.0');
    expect<string>(show('-12.5e-1')).toBe('-1.25');
    expect<string>(show('1e+20')).toBe('100000000000000000000.0');
    expect<string>(show('0.1')).toBe('0.1');
    expect<string>(show('9007199254740993')).toBe('9007199254740992.0');
    expect<f64>(parseJson(ascii('100.00000000000001'))!.number).toBe(100.00000000000001);
    expect<f64>(parseJson(ascii('12345678901234567890123'))!.number).toBe(12345678901234567890123.0);
    expect<string>(show('5e-324')).toBe('5e-324');
    expect<string>(show('1e-400')).toBe('0.0');
  });

  it('refuses what is no number', () => {
    expect<string>(show('01')).toBe('byte 0: found a leading zero, expected none');
    expect<string>(show('-')).toBe('byte 1: found the end, expected a digit');
    expect<string>(show('1.')).toBe('byte 2: found the end, expected a digit');
    expect<string>(show('1e')).toBe('byte 2: found the end, expected a digit');
    expect<string>(show('.5')).toBe('byte 0: found ".", expected a value');
    expect<string>(show('+1')).toBe('byte 0: found "+", expected a value');
    expect<string>(show('1e309')).toBe('byte 0: found a number too large for a double');
    expect<string>(show('NaN')).toBe('byte 0: found "N", expected a value');
  });

  it('decodes escapes', () => {
    expect<string>(show('"a\\"\\\\\\/\\b\\f\\n\\r\\tz"')).toBe("'a\"\\/\b\f\n\r\tz'");
    expect<string>(show('"\\u0041\\u00e9\\u20AC\\ud83d\\ude00."')).toBe("'A\u00e9\u20ac\ud83d\ude00.'");
    expect<string>(show('"\u00e9\u20ac"')).toBe("'\u00e9\u20ac'");
  });

  it('refuses broken strings', () => {
    expect<string>(show('"\\ud83d"')).toBe('byte 1: found half of a surrogate pair, expected both halves');
    expect<string>(show('"\\ude00\\ud83d"')).toBe('byte 1: found half of a surrogate pair, expected both halves');
    expect<string>(show('"\\ud83d\\u0041"')).toBe('byte 1: found half of a surrogate pair, expected both halves');
    expect<string>(show('"\\u00g0"')).toBe('byte 5: found "g", expected four hexadecimal digits');
    expect<string>(show('"\\x"')).toBe('byte 2: found "x", expected one of " \\ / b f n r t u');
    expect<string>(show('"ab')).toBe('byte 3: found the end, expected """');
    expect<string>(show('"\n"')).toBe('byte 1: found byte 10, expected a character, control characters escaped');
  });

  it('names the byte of the first error', () => {
    expect<string>(show('')).toBe('byte 0: found the end, expected a value');
    expect<string>(show('{"a":1,}')).toBe('byte 7: found "}", expected a key in quotes');
    expect<string>(show('[1,]')).toBe('byte 3: found "]", expected a value');
    expect<string>(show('[1 2]')).toBe('byte 3: found "2", expected "," or "]"');
    expect<string>(show('{"a" 1}')).toBe('byte 5: found "1", expected ":"');
    expect<string>(show('{} x')).toBe('byte 3: found "x", expected the end');
    expect<string>(show('tru')).toBe('byte 0: found "t", expected a value');
    expect<string>(show('{a:1}')).toBe('byte 1: found "a", expected a key in quotes');
  });

  it('refuses a key that occurs twice', () => {
    expect<string>(show('{"a":1,"b":2,"\\u0061":3}')).toBe('byte 13: found key "a" a second time, expected it once');
    expect<string>(show('[{"a":1},{"a":2}]')).toBe('array of 2');
  });

  it('keeps to its limits', () => {
    expect<string>(show(nested(32))).toBe('array of 1');
    expect<string>(show(nested(33))).toBe('byte 32: found nesting deeper than 32');
    const few = new JsonLimits(20, 3, 4, 2);
    expect<bool>(parseJson(ascii('[1,2,3]'), few) !== null).toBe(true);
    expect<bool>(parseJson(ascii('[1,2,3,4]'), few) === null).toBe(true);
    expect<string>(parseError()).toBe('byte 7: found more than 4 values');
    expect<bool>(parseJson(ascii('{"a":1,"b":1,"c":1}'), few) === null).toBe(true);
    expect<string>(parseError()).toBe('byte 13: found more than 2 keys in one object');
    expect<bool>(parseJson(ascii('[                   ]'), few) === null).toBe(true);
    expect<string>(parseError()).toBe('byte 20: found 21 bytes, expected at most 20');
  });

  it('leaves its input alone', () => {
    const source = ascii('["\\u0041"]');
    parseJson(source);
    expect<string>(text(source)).toBe('["\\u0041"]');
  });
});
