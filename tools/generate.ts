/**
 * `npm run generate`: from the schemas in `filters/<name>/schema.ts` come
 *   filters/sections.gen.ts            the list of filters that have one, for filters/schema.ts
 *   filters/schema.gen.ts              all of them as bytes, for the module
 *   envoy-configs/schemas/<name>.json  one for each filter and one for the suite, for editors and other tools
 *   filters/<name>/README.md           the tables between `<!-- config … -->` markers
 * `--check` writes nothing and fails when one of them is stale.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { IstioSchema } from '../envoy-configs/istio/schema.ts';
import { CausewaySchema } from '../envoy-configs/schema.ts';
import { formatted } from './formatted.ts';
import { checker } from './schema-ajv.ts';
import { configTable, withTables } from './schema-docs.ts';
import { FORMATS } from './schema-formats.ts';
import { pack } from './schema-pack.ts';
import { isNode, normalise, reachable, type SchemaNode, stripped } from './schema-subset.ts';

const ROOT = join(import.meta.dirname, '..');
const FILTERS = join(ROOT, 'filters');
const DIALECT = 'http://json-schema.org/draft-07/schema#';
/** Name of the suite's own schema: the `root_id` whose configuration it is. */
const SUITE = 'causeway';
/** No filters, so no sections of the suite: what runs under a `root_id` of its own only. */
const ALONE: readonly string[] = ['agent', 'event-isolation'];

export interface Generated {
  readonly path: string;
  readonly text: string;
}

interface Sources {
  /** By filter name. */
  readonly filters: ReadonlyMap<string, SchemaNode>;
  /** Definitions that filters share. */
  readonly shared: Readonly<Record<string, SchemaNode>>;
}

/** Every generated file with the text it should have. */
export async function generate(): Promise<Generated[]> {
  const sources = await readSources();
  const definitions: Record<string, SchemaNode> = { ...sources.shared, ...Object.fromEntries(sources.filters) };
  const suite = suiteSchema(inSuite(sources));
  checkDefaults(sources, definitions);
  const published = [...sources.filters, [SUITE, suite] as const].map(([name, schema]) => ({
    path: `envoy-configs/schemas/${name}.json`,
    text: formatted(
      `envoy-configs/schemas/${name}.json`,
      JSON.stringify(publishable(name, schema, definitions), null, 2),
    ),
  }));
  return [
    { path: 'filters/sections.gen.ts', text: sectionsModule(inSuite(sources)) },
    { path: 'filters/schema.gen.ts', text: bytesModule({ ...definitions, [SUITE]: suite }) },
    ...published,
    ...readmes({ ...definitions, [SUITE]: suite }),
  ];
}

function inSuite(sources: Sources): string[] {
  return [...sources.filters.keys()].filter((name) => !ALONE.includes(name));
}

async function readSources(): Promise<Sources> {
  const filters = new Map<string, SchemaNode>();
  const shared: Record<string, SchemaNode> = {};
  for (const name of readdirSync(FILTERS).sort()) {
    const folder = join(FILTERS, name);
    if (!existsSync(join(folder, 'schema.ts'))) continue;
    for (const file of readdirSync(folder).filter((file) => /(^|\.)schema\.ts$/.test(file))) {
      const module = (await import(pathToFileURL(join(folder, file)).href)) as Record<string, unknown>;
      const where = relative(ROOT, join(folder, file));
      for (const [key, schema] of Object.entries(isNode(module.definitions) ? module.definitions : {})) {
        shared[key] = normalise(schema, `${where}: ${key}`);
      }
      if (file !== 'schema.ts') continue;
      const schema = module[exportName(name)];
      if (schema === undefined) throw new Error(`${where}: found no export "${exportName(name)}", expected the schema`);
      filters.set(name, normalise(schema, `${where}: ${name}`));
    }
  }
  return { filters, shared };
}

/** `lane-tagging` exports `LaneTaggingSchema`. */
function exportName(filter: string): string {
  return `${filter.replace(/(^|-)(.)/g, (_all, _dash, letter: string) => letter.toUpperCase())}Schema`;
}

function suiteSchema(filters: readonly string[]): SchemaNode {
  return {
    type: 'object',
    additionalProperties: false,
    minProperties: 1,
    properties: Object.fromEntries(filters.map((name) => [name, { $ref: `#/$defs/${name}` }])),
    description: 'A section for each filter that is to run, in one HTTP context.',
  };
}

function publishable(name: string, schema: SchemaNode, definitions: Readonly<Record<string, SchemaNode>>): object {
  const needed = [...reachable(schema, definitions)].sort().map((key) => [key, definitions[key]]);
  return { $schema: DIALECT, title: name, ...schema, ...(needed.length > 0 && { $defs: Object.fromEntries(needed) }) };
}

/** The defaults are values that the module adds by itself, so they must hold. */
function checkDefaults(sources: Sources, definitions: Readonly<Record<string, SchemaNode>>): void {
  const visit = (node: unknown, at: string): void => {
    if (!isNode(node)) return;
    if (node.default !== undefined) {
      const [problem] = checker(publishable(at, node, definitions))(node.default);
      if (problem !== undefined) throw new Error(`${at}: default ${JSON.stringify(node.default)}: ${problem.message}`);
    }
    for (const [key, value] of Object.entries(node)) {
      if (!Array.isArray(value)) {
        if (key !== 'default') visit(value, `${at}.${key}`);
      } else for (const [i, item] of value.entries()) visit(item, `${at}.${key}[${i}]`);
    }
  };
  for (const [name, schema] of [...sources.filters, ...Object.entries(sources.shared)]) visit(schema, name);
}

function sectionsModule(filters: readonly string[]): string {
  const imports = filters.map((name) => `import { ${exportName(name)} } from './${name}/schema.ts';`);
  const entries = filters.map((name) => `  '${name}': Type.Optional(${exportName(name)}),`);
  return `// Generated by \`npm run generate\`: the filters that have a schema.ts. Do not edit.
import Type from 'typebox';
${imports.join('\n')}

export const sections = {
${entries.join('\n')}
};
`;
}

function bytesModule(definitions: Readonly<Record<string, SchemaNode>>): string {
  const schemas = Object.entries(definitions).map(([name, schema]) => [name, stripped(schema)]);
  const meanings = Object.entries(FORMATS).map(([name, { meaning }]) => [name, meaning]);
  const $formats = Object.fromEntries(meanings);
  const text = JSON.stringify({ $defs: { $formats, ...Object.fromEntries(schemas) } });
  const bytes = pack(text);
  const lines: string[] = [];
  for (let i = 0; i < bytes.length; i += 32) lines.push(`  ${bytes.slice(i, i + 32).join(', ')},`);
  return `// Generated by \`npm run generate\` from the schema.ts files of the filters. Do not edit.
import { unpack } from 'proxy-wasm-assemblyscript-sdk/config/unpack';
import { Slice, slice } from 'proxy-wasm-assemblyscript-sdk/slice';

const PACKED: usize = memory.data<u8>([
${lines.join('\n')}
]);

/** JSON Schema of all configurations, permanent ASCII: \`$defs\` by filter name, \`${SUITE}\` the suite's. */
export const SCHEMA: Slice = unpack(slice(PACKED, ${bytes.length}), ${text.length});
`;
}

/** Tables of what is no filter. */
const OTHER_TABLES: Readonly<Record<string, SchemaNode>> = {
  istio: IstioSchema as unknown as SchemaNode,
  causeway: CausewaySchema as unknown as SchemaNode,
};

function readmes(definitions: Readonly<Record<string, SchemaNode>>): Generated[] {
  const others = ['envoy-configs/istio/README.md', 'docs/configuration.md'];
  return [...readdirSync(FILTERS).map((name) => `filters/${name}/README.md`), ...others]
    .filter((path) => existsSync(join(ROOT, path)))
    .map((path) => ({
      path,
      text: withTables(readFileSync(join(ROOT, path), 'utf8'), (name) => {
        const schema = OTHER_TABLES[name] ?? definitions[name];
        return schema === undefined ? undefined : configTable(schema);
      }),
    }));
}

function current(path: string): string | undefined {
  return existsSync(join(ROOT, path)) ? readFileSync(join(ROOT, path), 'utf8') : undefined;
}

async function main(check: boolean): Promise<void> {
  const stale = (await generate()).filter(({ path, text }) => current(path) !== text);
  if (check) {
    for (const { path } of stale) process.stderr.write(`${path} is stale: run "npm run generate"\n`);
    if (stale.length > 0) process.exitCode = 1;
    return;
  }
  for (const { path, text } of stale) {
    mkdirSync(dirname(join(ROOT, path)), { recursive: true });
    writeFileSync(join(ROOT, path), text);
    process.stdout.write(`${path}\n`);
  }
}

if (import.meta.filename === process.argv[1]) await main(process.argv.includes('--check'));
