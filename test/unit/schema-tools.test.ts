import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import Type from 'typebox';
import { describe, expect, it } from 'vitest';
import { generate } from '../../tools/generate.ts';
import { checker, pathOf } from '../../tools/schema-ajv.ts';
import { configTable, withTables } from '../../tools/schema-docs.ts';
import { FORMATS } from '../../tools/schema-formats.ts';
import { pack } from '../../tools/schema-pack.ts';
import { normalise, stripped } from '../../tools/schema-subset.ts';

const ROOT = join(import.meta.dirname, '../..');
const SCHEMAS = join(ROOT, 'envoy-configs/schemas');

describe('generated files', () => {
  it('are what the schemas say', { timeout: 120_000 }, async () => {
    for (const { path, text } of await generate()) {
      expect(readFileSync(join(ROOT, path), 'utf8'), `${path} is stale: run "npm run generate"`).toBe(text);
    }
  });

  it.each(readdirSync(SCHEMAS))('%s is a JSON Schema of draft-07', (name) => {
    const ajv = new Ajv({ strict: true });
    const held = ajv.validateSchema(JSON.parse(readFileSync(join(SCHEMAS, name), 'utf8')));
    expect(ajv.errors ?? []).toEqual([]);
    expect(held).toBe(true);
  });
});

describe('the schema subset', () => {
  const refused = (schema: object): (() => unknown) => {
    return () => normalise(schema, 'here');
  };

  it('refuses what the module does not interpret, with the place', () => {
    expect(refused(Type.String({ pattern: 'a+' }))).toThrow(/^here: found keyword "pattern", expected one of/);
    expect(refused({ type: ['string', 'null'] })).toThrow('here.type: found a list of types, expected anyOf');
    expect(refused({ type: 'string', format: 'email' })).toThrow(
      /^here.format: found "email", expected one of label-value/,
    );
    expect(refused({ properties: { a: { oneOf: [] } } })).toThrow(/^here.properties.a: found keyword "oneOf"/);
    expect(refused({ $ref: '#/$defs/a', type: 'string' })).toThrow('here: found type beside $ref, expected it alone');
  });

  it('refuses what has no bound', () => {
    expect(refused({ type: 'string' })).toThrow('here: found a string without bound, expected maxLength');
    expect(refused({ type: 'array', items: { const: 1 } })).toThrow('here: found an array without bound');
    expect(refused({ type: 'object' })).toThrow('here: found an object without bound');
    expect(normalise({ type: 'string', format: 'cidr' }, 'here')).toEqual({ type: 'string', format: 'cidr' });
  });

  it('takes a record as additionalProperties, and drops annotations for the module', () => {
    const record = Type.Record(Type.String(), Type.Boolean({ description: 'on' }), { maxProperties: 3, title: 'all' });
    const node = normalise(record, 'here');
    expect(node).toMatchObject({ additionalProperties: { type: 'boolean', description: 'on' }, title: 'all' });
    expect(stripped(node)).toEqual({ type: 'object', maxProperties: 3, additionalProperties: { type: 'boolean' } });
    // A property may be called like an annotation.
    expect(stripped({ properties: { title: { const: 1, title: 'x' } } })).toEqual({
      properties: { title: { const: 1 } },
    });
  });
});

describe('the check of a value', () => {
  const check = checker({
    type: 'object',
    additionalProperties: false,
    required: ['a'],
    properties: { a: { type: 'array', items: { enum: ['x', 'y'] } } },
  });
  const told = (value: unknown): string[] => check(value).map(({ steps, message }) => `${pathOf(steps)}: ${message}`);

  it('names path, finding and expectation', () => {
    expect(told({ a: ['x'] })).toEqual([]);
    expect(told({})).toEqual(['a: found nothing, expected a value']);
    expect(told({ a: ['x', 'z'] })).toEqual(['a[1]: found "z", expected one of "x", "y"']);
    expect(told({ a: [], 'b c': 1 })).toEqual(['["b c"]: found an unknown key, expected one of a']);
  });

  it('holds documents to the bounds of the parser in the module', () => {
    let deep: unknown = 1;
    for (let i = 0; i < 33; i++) deep = [deep];
    expect(told(deep)[0]).toContain('nesting deeper than 32');
    expect(told(Array.from({ length: 32_768 }, () => 1))[0]).toContain('more than 32768 values');
    expect(told({ a: ['\ud800'] })[0]).toContain('a[0]: found half of a surrogate pair');
  });
});

describe('formats', () => {
  it('agree with themselves on what they are for', () => {
    const holds = (format: string, value: string): boolean => FORMATS[format]?.test(value) ?? false;
    expect(holds('cidr', '10.0.0.0/8')).toBe(true);
    expect(holds('cidr', 'fe80::1%eth0')).toBe(false);
    expect(holds('header-value', ' a')).toBe(false);
    for (const good of ['/', '/a/{id}/b', '/a**', '/**', '//', '/s'.repeat(32)]) {
      expect(holds('path-template', good), good).toBe(true);
    }
    const bad = [
      '',
      'a',
      '**',
      '/{}',
      '/{i-d}',
      '/x{id}',
      '/{id}x',
      '/{id}**',
      '/a*',
      '/**/a',
      '/a?b',
      '/é',
      '/s'.repeat(33),
    ];
    for (const template of bad) expect(holds('path-template', template), template).toBe(false);
  });
});

describe('README tables', () => {
  it('stand between their markers, nested keys behind their parent', () => {
    const table = configTable({
      type: 'object',
      required: ['a'],
      properties: {
        a: {
          type: 'array',
          maxItems: 2,
          items: { type: 'object', properties: { b: { const: 1, description: 'x|y' } } },
        },
      },
    });
    expect(table.split('\n').slice(2)).toEqual([
      '| `a` | array of object (≤ 2) | required |  |',
      '| `a[].b` | `1` |  | x\\|y |',
    ]);
    const text = 'before\n<!-- config f -->\nold\n<!-- /config -->\nafter\n';
    expect(withTables(text, () => 'new')).toBe('before\n<!-- config f -->\nnew\n<!-- /config -->\nafter\n');
    expect(() => withTables(text, () => undefined)).toThrow('found marker "config f"');
  });
});

describe('packed text', () => {
  /** What `unpack` in the module does. */
  function unpacked(packed: readonly number[]): string {
    const bytes: number[] = [];
    for (let i = 0; i < packed.length; i++) {
      const byte = packed[i] ?? 0;
      if (byte < 0x80) {
        bytes.push(byte);
        continue;
      }
      const distance = ((packed[i + 1] ?? 0) << 8) | (packed[i + 2] ?? 0);
      i += 2;
      for (let left = (byte & 0x7f) + 4; left > 0; left--) bytes.push(bytes[bytes.length - distance] ?? 0);
    }
    return Buffer.from(bytes).toString('ascii');
  }

  it('comes back as it was', () => {
    for (const text of [
      '',
      'a',
      'abcabcabcabc',
      'a'.repeat(1000),
      JSON.stringify({ a: 'xyz', b: ['xyz', 'xyzxyz'] }),
    ]) {
      expect(unpacked(pack(text))).toBe(text);
    }
    const schema = readFileSync(join(ROOT, 'envoy-configs/schemas/causeway.json'), 'utf8').replaceAll(
      /[^\x20-\x7e]/g,
      '',
    );
    expect(unpacked(pack(schema))).toBe(schema);
    expect(() => pack('é')).toThrow('beyond ASCII');
  });
});
