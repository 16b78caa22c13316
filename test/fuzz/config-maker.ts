import { definitionName, isNode, type SchemaNode } from '../../tools/schema-subset.ts';
import type { Random } from './reference/random.ts';

/** Random configurations: samples that a schema describes, and mutations of them. */

type Definitions = Readonly<Record<string, SchemaNode>>;

/** By format: values that hold. */
const GOOD: Readonly<Record<string, readonly string[]>> = {
  'label-value': ['dev1', 'a', 'A.b_c-9', 'x'.repeat(63)],
  'header-name': ['end-user', 'X-A', "!#$%&'*+-.^_`|~", 'h'.repeat(128)],
  token: ['GET', 'session_id', 't'.repeat(256)],
  'header-value': ['', 'a b', 'zoë', '"quoted"', 'a\tb', '\u{1f600}'],
  printable: ['a b', '~!"', '{}'],
  cidr: ['10.0.0.0/8', '127.0.0.1', '::/0', '2001:db8::/32', '::ffff:1.2.3.4', 'fe80::1:2/128', '0.0.0.0/0'],
  'path-template': ['/', '/a/{id}', '/a/{id}/b', '/a**', '/a/**', '//', '/s'.repeat(32), `/${'p'.repeat(255)}`],
};

/** Values that are mostly wrong, some nearly right: what mutations put anywhere. */
const ODD: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -0,
  1,
  -1,
  0.5,
  100,
  100.00000000000001,
  1e21,
  5e-324,
  4294967296,
  '',
  ' ',
  'none',
  'all',
  'a'.repeat(64),
  'a'.repeat(257),
  'é'.repeat(256),
  '\u{1f600}'.repeat(256),
  'é'.repeat(257),
  'a\u0000b',
  'a\nb',
  ' a',
  'a\t',
  '\u007f',
  '\ud83d',
  '\ude00x',
  'dev1-',
  '-dev1',
  'a/b',
  'a:b',
  '10.0.0.0/33',
  '10.0.0.0/08',
  '10.0.0',
  '010.0.0.1',
  '256.1.1.1',
  '1.2.3.4.5',
  '::1::',
  ':::',
  '1:2:3:4:5:6:7:8',
  '1:2:3:4:5:6:7:8:9',
  '1:2:3:4:5:6:7::',
  '::2:3:4:5:6:7:8',
  '1::2:3:4:5:6:7:8',
  '::1.2.3.4',
  '1.2.3.4::',
  '::1.2.3',
  '12345::',
  'fe80::1%eth0',
  '::/129',
  '::/-1',
  '::/',
  '/',
  '/a?b',
  '/a#b',
  '/é',
  '/a/{id',
  '/a/{}',
  '/a/x{id}',
  '/a/{id}x',
  '/a/{i-d}',
  '/{id}**',
  '/a*',
  '/a/**/b',
  '/a***',
  '/s'.repeat(33),
  `/${'p'.repeat(256)}`,
  '[::1]',
  '[::1]:0',
  '[::1]:65536',
  '[::1]:080',
  '[1.2.3.4]:80',
  '::1:80',
  'a]:80',
  '[a',
  ':80',
  'host:',
  'GET POST',
  [],
  {},
  [[]],
  [{}],
  { a: 1 },
  { name: 'a' },
  { name: 'a', exact: 'b', prefix: 'c' },
  { present: true },
  { exact: 'a' },
  { not: { not: { path: { exact: '/' } } } },
  { all: [] },
  { cel: 'true' },
];

/** A copy, because mutations go on changing what they have put in. */
function oddOne(random: Random): unknown {
  return structuredClone(random.pick(ODD));
}

/** A value that the schema allows, most of the time: bounds on characters are not looked at. */
export function sample(schema: SchemaNode, definitions: Definitions, random: Random, depth = 0): unknown {
  const name = definitionName(schema);
  if (name !== undefined) {
    const target = definitions[name];
    if (target === undefined) throw new Error(`found a reference to "${name}", expected a definition`);
    return sample(target, definitions, random, depth);
  }
  if (Array.isArray(schema.anyOf)) return sample(random.pick(schema.anyOf), definitions, random, depth);
  if (schema.const !== undefined) return schema.const;
  if (Array.isArray(schema.enum)) return random.pick(schema.enum);
  switch (schema.type) {
    case 'string':
      return random.pick(GOOD[String(schema.format)] ?? ['a', 'some text']) || 'a';
    case 'boolean':
      return random.chance(0.5);
    case 'integer':
    case 'number':
      return numberOf(schema, random);
    case 'array':
      return arrayOf(schema, definitions, random, depth);
    case 'object':
      return objectOf(schema, definitions, random, depth);
    default:
      return null;
  }
}

function numberOf(schema: SchemaNode, random: Random): number {
  const low = Number(schema.minimum ?? 0);
  const high = Number(schema.maximum ?? 1000);
  const value = random.pick([low, high, low + (high - low) * random.pick([0.25, 0.5, 0.999])]);
  return schema.type === 'integer' ? Math.floor(value) : value;
}

function arrayOf(schema: SchemaNode, definitions: Definitions, random: Random, depth: number): unknown[] {
  const low = Number(schema.minItems ?? 0);
  const count = Math.min(Number(schema.maxItems ?? 3), low + random.below(depth > 12 ? 1 : 3));
  const items = Array.from({ length: count }, () => sample(schema.items as SchemaNode, definitions, random, depth + 1));
  if (schema.uniqueItems !== true) return items;
  return [...new Map(items.map((item) => [JSON.stringify(item), item])).values()];
}

function objectOf(schema: SchemaNode, definitions: Definitions, random: Random, depth: number): object {
  const properties = isNode(schema.properties) ? schema.properties : {};
  const required = (schema.required as string[] | undefined) ?? [];
  const chosen = new Set(required);
  const optional = Object.keys(properties).filter((key) => !chosen.has(key));
  const least = Number(schema.minProperties ?? 0);
  const most = Number(schema.maxProperties ?? optional.length);
  // Matchers in matchers end: deep down only the first, flat ones are taken.
  const choice = depth > 8 ? optional.slice(0, 5) : optional;
  while (choice.length > 0 && chosen.size < most && (chosen.size < least || random.chance(0.5))) {
    chosen.add(choice.splice(random.below(choice.length), 1)[0] as string);
  }
  return Object.fromEntries(
    [...chosen].map((key) => [key, sample(properties[key] as SchemaNode, definitions, random, depth + 1)]),
  );
}

/** Places in a value: the containers with a key or index. */
type Place = { readonly holder: Record<string, unknown>; readonly key: string };

function placesOf(value: unknown, places: Place[] = []): Place[] {
  if (typeof value !== 'object' || value === null) return places;
  for (const [key, item] of Object.entries(value)) {
    places.push({ holder: value as Record<string, unknown>, key });
    placesOf(item, places);
  }
  return places;
}

/** Changes one to three places of a copy of `value`. */
export function mutate(value: unknown, random: Random): unknown {
  const copy = structuredClone(value);
  for (let i = random.between(1, 3); i > 0; i--) {
    const places = placesOf(copy);
    if (places.length === 0) return oddOne(random);
    mutatePlace(random.pick(places), places, random);
  }
  return copy;
}

function mutatePlace({ holder, key }: Place, places: readonly Place[], random: Random): void {
  const old = holder[key];
  switch (random.below(7)) {
    case 0:
      if (Array.isArray(holder)) holder.splice(Number(key), 1);
      else delete holder[key];
      return;
    case 1:
      if (Array.isArray(holder)) holder.push(structuredClone(old));
      else holder[random.pick(['x', '', `${key}s`, 'name', 'exact', 'é', 'a b', '__proto'])] = oddOne(random);
      return;
    case 2: {
      const other = random.pick(places);
      holder[key] = structuredClone(other.holder[other.key]);
      return;
    }
    case 3:
      if (Array.isArray(old)) {
        for (let i = random.pick([2, 5, 17, 65, 300]); i > 0; i--)
          old.push(old.length > 0 ? structuredClone(old[0]) : 'x');
      } else holder[key] = random.pick([[old], { [key]: old }, String(old)]);
      return;
    case 4:
      if (typeof old === 'string') holder[key] = mutateText(old, random);
      else if (typeof old === 'number')
        holder[key] = random.pick([old + 1, old - 1, old / 2, -old, old * 1e9, old + 1e-9]);
      else holder[key] = oddOne(random);
      return;
    case 5:
      holder[key] = nested(old, random.pick([1, 8, 14, 31, 40]), random);
      return;
    default:
      holder[key] = oddOne(random);
  }
}

function nested(value: unknown, depth: number, random: Random): unknown {
  const wrap = random.pick([
    (inner: unknown) => ({ not: inner }),
    (inner: unknown) => ({ all: [inner] }),
    (inner: unknown) => [inner],
  ]);
  let result = value;
  for (let i = 0; i < depth; i++) result = wrap(result);
  return result;
}

/** One character removed, doubled, or another put in. */
export function mutateText(text: string, random: Random): string {
  const at = random.below(text.length + 1);
  const insert = random.pick([
    '',
    ' ',
    'é',
    '\u0001',
    '"',
    '\\',
    ',',
    '.',
    '-',
    '_',
    '/',
    '%',
    '{',
    '}',
    '[',
    ']',
    ':',
    '0',
    'e',
    '\n',
    text.slice(at, at + 3),
  ]);
  return text.slice(0, at) + insert + text.slice(at + random.below(2));
}
