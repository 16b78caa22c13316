import type { ErrorObject, ValidateFunction } from 'ajv';
import type { Problem } from '../../envoy-configs/problem.ts';
import { CausewaySchema } from '../../envoy-configs/schema.ts';
import { createAjv } from '../../tools/schema-ajv.ts';
import { shown } from './errors.ts';

/** Most problems that one run shows: the rest is usually the same mistake again. */
const MAX_PROBLEMS = 20;

let document: ((value: unknown) => Problem[]) | undefined;

/** Checks a document against the schema of `causeway.yaml`. Empty = it holds. */
export function schemaProblems(value: unknown): Problem[] {
  document ??= checkerOf(CausewaySchema);
  return document(value);
}

/** A check of one schema, with its errors in words. */
export function checkerOf(schema: object): (value: unknown) => Problem[] {
  const compiled: ValidateFunction = createAjv().compile(JSON.parse(JSON.stringify(schema)));
  return (value) => {
    if (compiled(value)) return [];
    const problems = (compiled.errors ?? []).filter((error) => !FOLLOWS.has(error.keyword)).map(explain);
    return unique(problems).slice(0, MAX_PROBLEMS);
  };
}

/** Keywords that fail only because something inside them has failed, and that has its own error. */
const FOLLOWS = new Set(['patternProperties', 'if']);

function explain(error: ErrorObject): Problem {
  const path = stepsOf(error.instancePath);
  const parameters = error.params as Record<string, unknown>;
  switch (error.keyword) {
    case 'additionalProperties': {
      const key = String(parameters.additionalProperty);
      const schema = error.parentSchema ?? {};
      const known = Object.keys((schema.properties as object | undefined) ?? {});
      const patterns = Object.keys((schema.patternProperties as object | undefined) ?? {});
      const near = nearest(key, known);
      return {
        path: [...path, key],
        atKey: true,
        found: patterns.length > 0 ? `the name ${shown(key)}` : `the unknown key ${shown(key)}`,
        expected: patterns.length > 0 ? nameForm(patterns[0] ?? '') : `one of ${known.join(', ')}`,
        ...(near === undefined ? {} : { hint: `did you mean "${near}"?` }),
      };
    }
    case 'required':
      return { path, found: `no "${String(parameters.missingProperty)}"`, expected: 'it to be given' };
    case 'enum':
      return {
        path,
        found: shown(error.data),
        expected: `one of ${(parameters.allowedValues as unknown[]).map((word) => String(word)).join(', ')}`,
      };
    case 'pattern': {
      const description = (error.parentSchema as { description?: string } | undefined)?.description;
      return {
        path,
        found: shown(error.data),
        expected: nameForm(String(parameters.pattern)),
        ...(description === undefined ? {} : { hint: description }),
      };
    }
    case 'format':
      return { path, found: shown(error.data), expected: `a ${String(parameters.format)}` };
    case 'type':
      return { path, found: shown(error.data), expected: article(String(parameters.type)) };
    default:
      return {
        path,
        found: shown(error.data),
        expected: (error.message ?? error.keyword).replace(/^must (be |have |match |NOT have )?/, (_, word: string) =>
          word === 'NOT have ' ? 'no ' : '',
        ),
      };
  }
}

function article(type: string): string {
  const words: Record<string, string> = { object: 'a mapping', array: 'a list', integer: 'a whole number' };
  return words[type] ?? `a ${type}`;
}

/** What the schema's patterns mean, in words. */
function nameForm(pattern: string): string {
  if (pattern.startsWith('^[a-z0-9]([a-z0-9-]')) {
    return 'lower case letters, digits and "-", at most 40, beginning and ending with a letter or digit';
  }
  if (pattern.startsWith('^[A-Za-z0-9]([A-Za-z0-9._-]')) {
    return 'a label value: letters, digits, ".", "_" and "-", at most 63, beginning and ending with a letter or digit';
  }
  if (pattern.includes('(ms|s|m)')) return 'a duration such as 250ms, 2s or 1m';
  return `something that matches ${pattern}`;
}

function stepsOf(pointer: string): (string | number)[] {
  return pointer
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((step) => (/^(0|[1-9][0-9]*)$/.test(step) ? Number(step) : step));
}

function unique(problems: Problem[]): Problem[] {
  const seen = new Set<string>();
  return problems.filter((problem) => {
    const key = JSON.stringify(problem);
    return !seen.has(key) && seen.add(key);
  });
}

/** The known word that a misspelt one is closest to, if it is close. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const scored = known.map((candidate) => ({ candidate, distance: editDistance(word, candidate) }));
  scored.sort((a, b) => a.distance - b.distance);
  const [best] = scored;
  return best && best.distance <= Math.max(2, Math.floor(word.length / 3)) ? best.candidate : undefined;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
