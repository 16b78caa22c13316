import { parseError, parseJson } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { validate } from 'proxy-wasm-assemblyscript-sdk/config/validate';
import { ascii, text } from 'proxy-wasm-assemblyscript-sdk/slice';

const SCHEMA = `{"$defs":{
  "$formats":{"header-name":"a header name"},
  "rule":{"type":"object","additionalProperties":false,"required":["name"],"minProperties":2,"maxProperties":2,
    "properties":{"name":{"type":"string","format":"header-name"},"exact":{"type":"string","maxLength":4},"not":{"$ref":"#/$defs/rule"}}},
  "root":{"type":"object","additionalProperties":false,"required":["rules"],"properties":{
    "rules":{"type":"array","minItems":1,"maxItems":3,"uniqueItems":true,"items":{"$ref":"#/$defs/rule"}},
    "trust":{"anyOf":[{"enum":["none","all"]},{"type":"object","additionalProperties":false,"minProperties":1,
      "properties":{"cidrs":{"type":"array","items":{"type":"string","format":"cidr"}}, "mode":{"type":"string","default":"plain"}}}],"default":"none"},
    "percent":{"type":"number","minimum":0,"maximum":100},
    "count":{"type":"integer","minimum":1},
    "on":{"type":"boolean","default":true},
    "lanes":{"type":"object","maxProperties":2,"propertyNames":{"type":"string","format":"label-value"},"additionalProperties":{"const":"x"}},
    "tail":{"type":"null"}}}}}`;

const RULE = '"rules":[{"name":"a","exact":"b"}]';

/** Verdict on the body of an object with one good rule beside it. */
function verdict(body: string): string {
  return whole(`{${RULE}${body.length > 0 ? ',' : ''}${body}}`);
}

function whole(source: string): string {
  const value = parseJson(ascii(source));
  if (value === null) return parseError();
  const problem = validate(parseJson(ascii(SCHEMA))!, 'root', value, 'top');
  return problem === null ? 'holds' : problem;
}

describe('validate', () => {
  it('accepts what the schema allows', () => {
    expect<string>(verdict('')).toBe('holds');
    expect<string>(verdict('"trust":"all","percent":0.5,"count":3,"on":false,"lanes":{"dev1":"x"},"tail":null')).toBe(
      'holds',
    );
    expect<string>(verdict('"trust":{"cidrs":["10.0.0.0/8","::1"]}')).toBe('holds');
    expect<string>(whole('{"rules":[{"name":"a","not":{"name":"b","exact":"éé€é"}}]}')).toBe('holds');
  });

  it('names the path of an unknown, missing or wrong key', () => {
    expect<string>(whole('{}')).toBe('top.rules: found nothing, expected an array of 1 to 3 elements');
    expect<string>(verdict('"ruls":1')).toBe(
      'top.ruls: found an unknown key, expected one of rules, trust, percent, count, on, lanes, tail',
    );
    expect<string>(whole('[]')).toBe(
      'top: found an array of 0, expected an object with keys out of rules, trust, percent, count, on, lanes, tail',
    );
    expect<string>(whole('{"rules":[{"name":"a","not":{"name":"","exact":"x"}}]}')).toBe(
      'top.rules[0].not.name: found "", expected a header name',
    );
    expect<string>(whole('{"rules":[{"name":"a","exact":"12345"}]}')).toBe(
      'top.rules[0].exact: found "12345", expected a string of at most 4 characters',
    );
    expect<string>(whole('{"rules":[{"name":"a"}]}')).toBe(
      'top.rules[0]: found an object with the keys name, expected an object with exactly 2 of name, exact, not',
    );
    expect<string>(whole(`{${RULE},"a b":1}`)).toBe(
      'top["a b"]: found an unknown key, expected one of rules, trust, percent, count, on, lanes, tail',
    );
  });

  it('holds numbers, arrays and maps to their bounds', () => {
    expect<string>(verdict('"percent":100.5')).toBe('top.percent: found 100.5, expected a number 0 to 100');
    expect<string>(verdict('"count":0')).toBe('top.count: found 0, expected a whole number at least 1');
    expect<string>(verdict('"count":1.5')).toBe('top.count: found 1.5, expected a whole number at least 1');
    expect<string>(verdict('"on":"yes"')).toBe('top.on: found "yes", expected true or false');
    expect<string>(verdict('"tail":0')).toBe('top.tail: found 0, expected null');
    expect<string>(whole('{"rules":[]}')).toBe('top.rules: found an array of 0, expected an array of 1 to 3 elements');
    expect<string>(whole('{"rules":[{"name":"a","exact":"b"},{"exact":"b","name":"a"}]}')).toBe(
      'top.rules[1]: found an object with the keys exact, name a second time, expected different elements',
    );
    expect<string>(verdict('"lanes":{"-Dev":"x"}')).toBe(
      'top.lanes.-Dev: found the key "-Dev", expected a key that is a label-value',
    );
    expect<string>(verdict('"lanes":{"a":"y"}')).toBe('top.lanes.a: found "y", expected "x"');
    expect<string>(verdict('"lanes":{"a":"x","b":"x","c":"x"}')).toBe(
      'top.lanes: found an object with the keys a, b, c, expected an object with at most 2 keys',
    );
  });

  it('explains alternatives by the one that was meant', () => {
    expect<string>(verdict('"trust":"some"')).toBe(
      'top.trust: found "some", expected one of "none", "all" or an object with at least 1 of cidrs, mode',
    );
    expect<string>(verdict('"trust":{"cidrs":["10.0.0.0/33"]}')).toBe(
      'top.trust.cidrs[0]: found "10.0.0.0/33", expected a cidr',
    );
  });

  it('adds defaults, only where the value holds', () => {
    const value = parseJson(ascii(`{${RULE},"trust":{"cidrs":[]}}`))!;
    expect<bool>(validate(parseJson(ascii(SCHEMA))!, 'root', value, 'top') === null).toBe(true);
    expect<bool>(value.boolOf('on', false)).toBe(true);
    expect<string>(text(value.get('trust')!.textOf('mode'))).toBe('plain');
    const plain = parseJson(ascii(`{${RULE}}`))!;
    validate(parseJson(ascii(SCHEMA))!, 'root', plain, 'top');
    expect<string>(text(plain.textOf('trust'))).toBe('none');
  });

  it('refuses everything by a definition that does not exist', () => {
    const value = parseJson(ascii('{}'))!;
    expect<string>(validate(parseJson(ascii(SCHEMA))!, 'other', value, 'top')!).toBe(
      'top: found no schema, expected one named "other"',
    );
  });
});
