/**
 * The published schemas against the compiled module: one verdict on every configuration, and every refusal names a
 * path. CAUSEWAY_SCALE=1 is full size; CAUSEWAY_SEED varies a run.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseDocument } from 'yaml';
import { checker, pathOf, type SchemaProblem } from '../../tools/schema-ajv.ts';
import type { SchemaNode } from '../../tools/schema-subset.ts';
import { EmulatedHost, LogLevel, utf8, type Vm } from '../emulator/index.ts';
import { compilePlugin } from '../support/compile-plugin.ts';
import { scaled } from '../support/scale.ts';
import { mutate, mutateText, sample } from './config-maker.ts';
import { Random } from './reference/random.ts';

const CASES = 10_000;
const SEED = Number(process.env.CAUSEWAY_SEED ?? 1);
const FILTERS = [
  'agent',
  'degradation',
  'event-isolation',
  'lane-tagging',
  'trace-propagation',
  'lane-fallback',
  'overload-shedding',
  'adaptive-rate-limit',
  'connection-elimination',
  'isolation',
  'causeway',
] as const;
const SCHEMAS = join(import.meta.dirname, '../../envoy-configs/schemas');

type PublishedSchema = SchemaNode & { readonly $defs?: Readonly<Record<string, SchemaNode>> };

let module: Uint8Array<ArrayBuffer>;

beforeAll(async () => {
  module = new Uint8Array(await readFile(await compilePlugin('filters/suite.ts')));
});

/** The module's verdict on one text after another: null, or the reason that it gave. */
class Judge {
  readonly #host: EmulatedHost;
  readonly #vm: Vm;

  constructor(filter: string, start: unknown) {
    this.#host = new EmulatedHost(module, { record: false });
    // Only Envoy knows what is an expression.
    this.#host.foreign.define('expr_create', () => ({ status: 0, result: '\0\0\0\0' }));
    this.#vm = this.#host.vm({ rootId: filter, vmConfiguration: 'gateway', configuration: start });
    expect(this.#vm.configured, this.#host.messages().join('\n')).toBe(true);
  }

  refusal(text: string): string | null {
    this.#host.logs.length = 0;
    const accepted = this.#vm.reconfigure(utf8(text)).configured;
    if (this.#vm.failure !== undefined) throw new Error(`the module trapped: ${this.#vm.failure}`);
    const messages = this.#host.messages(LogLevel.Critical);
    if (accepted) expect(messages).toEqual([]);
    return accepted ? null : messages.join('\n');
  }
}

/** What the published schema says of the same text; the problem of a text that is no JSON has no steps. */
function problemsOf(text: string, check: (value: unknown) => SchemaProblem[]): SchemaProblem[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return [{ steps: [], message: `no JSON: ${(error as Error).message}` }];
  }
  const twice = parseDocument(text, { schema: 'json', uniqueKeys: true }).errors.find(
    ({ code }) => code === 'DUPLICATE_KEY',
  );
  return twice === undefined ? check(value) : [{ steps: [], message: twice.message }];
}

/** The path in `causeway: lane-tagging.rules[0].lane: found …`, without the filter; undefined where the message has none. */
function pathIn(refusal: string, filter: string): string | undefined {
  const [, path] = /^causeway: (.*?): (?:byte [0-9]+: )?found [\s\S]*$/.exec(refusal) ?? [];
  if (path === undefined || !path.startsWith(filter)) return undefined;
  return path.slice(filter.length).replace(/^\./, '');
}

/** One of two paths leads to the other: alternatives and doubled elements are named at one of two levels. */
function related(path: string, problem: SchemaProblem): boolean {
  const other = pathOf(problem.steps);
  return path.startsWith(other) || other.startsWith(path);
}

describe.each(FILTERS)('%s: schema and module agree', (filter) => {
  it(`on ${scaled(CASES)} configurations`, { timeout: 600_000 }, async () => {
    const schema: PublishedSchema = JSON.parse(await readFile(join(SCHEMAS, `${filter}.json`), 'utf8'));
    const definitions = schema.$defs ?? {};
    const check = checker(schema);
    const first = firstGood(schema, definitions, check);
    const judge = new Judge(filter, first);
    let accepted = 0;
    const count = scaled(CASES);
    for (let i = 0; i < count; i++) {
      const random = new Random(SEED * 1_000_003 + i);
      const text = candidate(schema, definitions, random);
      const problems = problemsOf(text, check);
      const refusal = judge.refusal(text);
      const explain = (what: string): string =>
        `seed ${SEED}, case ${i}: ${what}\n${text.slice(0, 2000)}\nschema: ${JSON.stringify(problems)}\nmodule: ${refusal}`;
      expect(refusal === null, explain('two verdicts')).toBe(problems.length === 0);
      if (refusal === null) accepted++;
      else {
        const path = pathIn(refusal, filter);
        expect(path, explain('a refusal without path')).toBeDefined();
        expect(
          problems.some((problem) => related(path ?? '', problem)),
          explain('another path'),
        ).toBe(true);
      }
    }
    // Were nearly all of one kind, agreement would say little.
    expect(accepted).toBeGreaterThan(count / 10);
    expect(accepted).toBeLessThan(count * 0.9);
  });
});

function firstGood(
  schema: SchemaNode,
  definitions: PublishedSchema['$defs'],
  check: (value: unknown) => SchemaProblem[],
): unknown {
  for (let seed = 0; seed < 1000; seed++) {
    const value = sample(schema, definitions ?? {}, new Random(seed));
    if (check(value).length === 0) return value;
  }
  throw new Error('no sample holds its own schema');
}

/** A sample as it is, a mutated one, or one whose text was edited. */
function candidate(schema: SchemaNode, definitions: PublishedSchema['$defs'], random: Random): string {
  const value = sample(schema, definitions ?? {}, random);
  const kind = random.below(10);
  if (kind < 4) return JSON.stringify(value);
  const text = JSON.stringify(kind < 9 ? mutate(value, random) : value);
  // An edit may cut a character in two; what the module gets is UTF-8.
  return kind < 9 ? text : Buffer.from(mutateText(text, random) || '{').toString();
}
