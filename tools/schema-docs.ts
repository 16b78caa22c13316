import { definitionName, isNode, type SchemaNode } from './schema-subset.ts';

/** Configuration tables for READMEs, from the schemas. */

interface Row {
  readonly key: string;
  readonly type: string;
  readonly initial: string;
  readonly meaning: string;
}

/** One Markdown table with a row for each key of the schema, nested keys as `rules[].match`. */
export function configTable(schema: SchemaNode): string {
  const rows: Row[] = [];
  addRows(schema, '', rows);
  const lines = rows.map((row) => `| ${[row.key, row.type, row.initial, row.meaning].join(' | ')} |`);
  return ['| key | type | default | meaning |', '| --- | --- | --- | --- |', ...lines].join('\n');
}

/** Replaces what stands between `<!-- config <name> -->` and `<!-- /config -->`; null where there is no such marker. */
export function withTables(markdown: string, tables: (name: string) => string | undefined): string {
  return markdown.replace(/(<!-- config ([a-z0-9-]+) -->\n)[\s\S]*?(<!-- \/config -->)/g, (_all, begin, name, end) => {
    const table = tables(name);
    if (table === undefined)
      throw new Error(`found marker "config ${name}", expected the name of a filter or definition`);
    return `${begin}${table}\n${end}`;
  });
}

function addRows(schema: SchemaNode, prefix: string, rows: Row[]): void {
  const required = Array.isArray(schema.required) ? schema.required : [];
  const properties = isNode(schema.properties) ? schema.properties : {};
  for (const [name, value] of Object.entries(properties)) {
    if (!isNode(value)) continue;
    const key = `${prefix}${name}`;
    rows.push({
      key: `\`${key}\``,
      type: typeWords(value),
      initial: initialWords(value, required.includes(name)),
      meaning: cell(String(value.description ?? '')),
    });
    addNested(value, key, rows);
  }
}

function addNested(value: SchemaNode, key: string, rows: Row[]): void {
  if (Array.isArray(value.anyOf)) for (const item of value.anyOf) if (isNode(item)) addNested(item, key, rows);
  if (isNode(value.items)) addNested(value.items, `${key}[]`, rows);
  if (isNode(value.additionalProperties)) addNested(value.additionalProperties, `${key}.<name>`, rows);
  addRows(value, `${key}.`, rows);
}

function initialWords(value: SchemaNode, required: boolean): string {
  if (required) return 'required';
  return value.default === undefined ? '' : `\`${JSON.stringify(value.default)}\``;
}

function typeWords(value: SchemaNode): string {
  const definition = definitionName(value);
  if (definition !== undefined) return `[${definition}](#${definition})`;
  if (Array.isArray(value.anyOf)) return value.anyOf.map((item) => (isNode(item) ? typeWords(item) : '')).join(' or ');
  if (Array.isArray(value.enum)) return value.enum.map((item) => `\`${JSON.stringify(item)}\``).join(', ');
  if (value.const !== undefined) return `\`${JSON.stringify(value.const)}\``;
  if (value.type === 'array') {
    return `array of ${isNode(value.items) ? typeWords(value.items) : 'values'}${bounds(value.minItems, value.maxItems)}`;
  }
  if (value.type === 'string') {
    return `${typeof value.format === 'string' ? value.format : 'string'}${bounds(value.minLength, value.maxLength)}`;
  }
  if (value.type === 'object') return `object${bounds(value.minProperties, value.maxProperties)}`;
  return `${String(value.type)}${bounds(value.minimum, value.maximum)}`;
}

function bounds(low: unknown, high: unknown): string {
  if (low === undefined && high === undefined) return '';
  if (low === undefined) return ` (≤ ${high})`;
  if (high === undefined) return ` (≥ ${low})`;
  return low === high ? ` (${low})` : ` (${low}–${high})`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
