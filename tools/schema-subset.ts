import { FORMATS } from './schema-formats.ts';

/**
 * The part of JSON Schema that the module interprets. A schema that needs more cannot be generated: what the filter
 * refuses must be what the published schema refuses.
 */
export type SchemaNode = { readonly [keyword: string]: unknown };

/** Keywords that the module understands; `filters/sdk/config/validate.ts` implements exactly these. */
const INTERPRETED = new Set([
  '$ref',
  'additionalProperties',
  'anyOf',
  'const',
  'default',
  'enum',
  'format',
  'items',
  'maxItems',
  'maxLength',
  'maxProperties',
  'maximum',
  'minItems',
  'minLength',
  'minProperties',
  'minimum',
  'properties',
  'propertyNames',
  'required',
  'type',
  'uniqueItems',
]);
/** Keywords for people only; they stay in the published schema. */
const ANNOTATIONS = new Set(['description', 'title', 'examples']);
/** Another name under which schemas may write a format. */
const FORMAT_ALIASES: Readonly<Record<string, string>> = { lane: 'label-value' };

/** The schema in the subset, annotations kept; throws naming the place where it leaves the subset or is unbounded. */
export function normalise(schema: unknown, at: string): SchemaNode {
  if (!isNode(schema)) throw new Error(`${at}: found ${JSON.stringify(schema)}, expected a schema`);
  const node: Record<string, unknown> = {};
  for (const [keyword, value] of Object.entries(expandRecord(schema, at))) {
    if (ANNOTATIONS.has(keyword)) node[keyword] = value;
    else if (keyword === 'additionalProperties' && value === true) continue;
    else if (!INTERPRETED.has(keyword)) {
      throw new Error(`${at}: found keyword "${keyword}", expected one of ${[...INTERPRETED].join(', ')}`);
    } else node[keyword] = normaliseKeyword(keyword, value, `${at}.${keyword}`);
  }
  checkAlone(node, at);
  checkBounded(node, at);
  return node;
}

/** Without annotations: what the module carries. */
export function stripped(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(stripped);
  if (!isNode(schema)) return schema;
  return Object.fromEntries(
    Object.entries(schema)
      .filter(([keyword]) => !ANNOTATIONS.has(keyword))
      .map(([keyword, value]) => {
        if (keyword === 'default' || keyword === 'const' || keyword === 'enum') return [keyword, value];
        return [
          keyword,
          keyword === 'properties' || keyword === '$defs' ? mapValues(value, stripped) : stripped(value),
        ];
      }),
  );
}

/** Names of the definitions that a schema refers to, itself or through others. */
export function reachable(schema: unknown, definitions: Readonly<Record<string, SchemaNode>>): Set<string> {
  const found = new Set<string>();
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) node.forEach(visit);
    if (!isNode(node)) return;
    const name = definitionName(node);
    if (name !== undefined && !found.has(name)) {
      found.add(name);
      visit(definitions[name]);
    }
    Object.values(node).forEach(visit);
  };
  visit(schema);
  return found;
}

export function definitionName(node: SchemaNode): string | undefined {
  const reference = node.$ref;
  return typeof reference === 'string' ? reference.replace('#/$defs/', '') : undefined;
}

export function isNode(value: unknown): value is SchemaNode {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function mapValues(value: unknown, change: (value: unknown, key: string) => unknown): Record<string, unknown> {
  if (!isNode(value)) throw new Error(`found ${JSON.stringify(value)}, expected an object of schemas`);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, change(item, key)]));
}

/** `Type.Record` writes a pattern that matches every key; that is `additionalProperties`. */
function expandRecord(schema: SchemaNode, at: string): SchemaNode {
  if (schema.patternProperties === undefined) return schema;
  const { patternProperties, ...rest } = schema;
  const patterns = Object.entries(patternProperties as SchemaNode);
  const [first] = patterns;
  if (patterns.length !== 1 || first === undefined || first[0] !== '^.*$') {
    throw new Error(`${at}.patternProperties: found a pattern, expected propertyNames with a format instead`);
  }
  return { ...rest, additionalProperties: first[1] };
}

function normaliseKeyword(keyword: string, value: unknown, at: string): unknown {
  switch (keyword) {
    case 'properties':
      return mapValues(value, (item, key) => normalise(item, `${at}.${key}`));
    case 'items':
    case 'propertyNames':
      return normalise(value, at);
    case 'additionalProperties':
      return value === false ? false : normalise(value, at);
    case 'anyOf':
      return (value as unknown[]).map((item, i) => normalise(item, `${at}[${i}]`));
    case 'format':
      return knownFormat(String(value), at);
    case 'type':
      if (typeof value !== 'string') throw new Error(`${at}: found a list of types, expected anyOf`);
      return value;
    default:
      return value;
  }
}

function knownFormat(name: string, at: string): string {
  const format = FORMAT_ALIASES[name] ?? name;
  if (FORMATS[format] === undefined) {
    throw new Error(`${at}: found "${name}", expected one of ${Object.keys(FORMATS).join(', ')}`);
  }
  return format;
}

/** The module looks at nothing else beside `anyOf` or `$ref`. */
function checkAlone(node: SchemaNode, at: string): void {
  for (const alone of ['anyOf', '$ref']) {
    if (node[alone] === undefined) continue;
    const beside = Object.keys(node).filter((key) => key !== alone && key !== 'default' && !ANNOTATIONS.has(key));
    if (beside.length > 0) throw new Error(`${at}: found ${beside.join(', ')} beside ${alone}, expected it alone`);
  }
}

/** Every string, array and map states its bound. */
function checkBounded(node: SchemaNode, at: string): void {
  if (node.const !== undefined || node.enum !== undefined) return;
  const format = typeof node.format === 'string' ? FORMATS[node.format] : undefined;
  if (node.type === 'string' && node.maxLength === undefined && format?.bounded !== true) {
    throw new Error(`${at}: found a string without bound, expected maxLength`);
  }
  if (node.type === 'array' && node.maxItems === undefined) {
    throw new Error(`${at}: found an array without bound, expected maxItems`);
  }
  if (node.type === 'object' && node.additionalProperties !== false && node.maxProperties === undefined) {
    throw new Error(`${at}: found an object without bound, expected additionalProperties: false or maxProperties`);
  }
}
