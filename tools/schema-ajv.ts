import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { FORMATS } from './schema-formats.ts';

/** Bounds of one document, as the module's JSON parser holds them (`filters/sdk/config/json.ts`). */
export const DOCUMENT_LIMITS = { bytes: 1 << 20, depth: 32, values: 32768, keys: 4096 } as const;

/** What is wrong with a configuration, in the form that a person acts on. */
export interface SchemaProblem {
  /** Steps from the root: keys and indices. */
  readonly steps: readonly (string | number)[];
  readonly message: string;
}

/**
 * An ajv instance that gives the verdict that the module gives; `verbose` and all errors are on. Most checks run once, so what
 * it leaves out would be a third of the time that a command takes: its code is not optimised, and a schema is not itself
 * checked, which a test does.
 */
export function createAjv(): Ajv {
  const ajv = new Ajv({
    strict: true,
    strictRequired: false,
    allErrors: true,
    verbose: true,
    useDefaults: false,
    code: { optimize: false },
    meta: false,
    validateSchema: false,
  });
  for (const [name, format] of Object.entries(FORMATS)) ajv.addFormat(name, format.test);
  return ajv;
}

/** A check of one schema: every problem found, none where the value holds. */
export function checker(schema: object): (value: unknown) => SchemaProblem[] {
  const validate: ValidateFunction = createAjv().compile(schema);
  return (value) => {
    const problems = documentProblems(value);
    if (problems.length > 0 || validate(value)) return problems;
    return (validate.errors ?? []).map(explain);
  };
}

/** `[3]` after an array, `.key` after an object: the path that the module's messages show, control characters as "?". */
export function pathOf(steps: readonly (string | number)[]): string {
  return steps
    .map((step) => {
      if (typeof step === 'number') return `[${step}]`;
      return /^[A-Za-z0-9_-]{1,60}$/.test(step) ? `.${step}` : `["${shortened(step)}"]`;
    })
    .join('')
    .replace(/^\./, '');
}

function shortened(key: string): string {
  const bytes = Buffer.from(key);
  const kept = bytes.length > 60 ? `${bytes.subarray(0, 60).toString()}…` : key;
  return Array.from(kept, (letter) => (/\p{Cc}/u.test(letter) && letter < '\u0080' ? '?' : letter)).join('');
}

function explain(error: ErrorObject): SchemaProblem {
  const steps = error.instancePath
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((step) => (/^(0|[1-9][0-9]*)$/.test(step) ? Number(step) : step));
  const { additionalProperty, missingProperty, allowedValue, allowedValues } = error.params as Record<string, unknown>;
  if (typeof additionalProperty === 'string') {
    const known = Object.keys((error.parentSchema?.properties as object | undefined) ?? {});
    return {
      steps: [...steps, additionalProperty],
      message: `found an unknown key, expected one of ${known.join(', ')}`,
    };
  }
  if (typeof missingProperty === 'string') {
    return { steps: [...steps, missingProperty], message: 'found nothing, expected a value' };
  }
  const format = error.keyword === 'format' ? FORMATS[String(error.schema)] : undefined;
  if (format !== undefined) return { steps, message: `found ${shown(error.data)}, expected ${format.meaning}` };
  const choices = Array.isArray(allowedValues) ? allowedValues : allowedValue === undefined ? [] : [allowedValue];
  const expected =
    choices.length > 0 ? `one of ${choices.map((choice) => JSON.stringify(choice)).join(', ')}` : (error.message ?? '');
  return { steps, message: `found ${shown(error.data)}, expected ${expected.replace(/^must (be|have|match) /, '')}` };
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/** What the module's parser refuses although it is JSON: too deep, too many values or keys, half a surrogate pair. */
function documentProblems(value: unknown): SchemaProblem[] {
  let values = 0;
  const problems: SchemaProblem[] = [];
  const visit = (node: unknown, steps: (string | number)[]): void => {
    if (problems.length > 0) return;
    const refuse = (message: string) => problems.push({ steps, message });
    if (++values > DOCUMENT_LIMITS.values) refuse(`found more than ${DOCUMENT_LIMITS.values} values`);
    else if (typeof node === 'string' && !isWellFormed(node)) refuse('found half of a surrogate pair, expected both');
    else if (typeof node === 'object' && node !== null) {
      const entries = Array.isArray(node) ? [...node.entries()] : Object.entries(node);
      if (steps.length >= DOCUMENT_LIMITS.depth) refuse(`found nesting deeper than ${DOCUMENT_LIMITS.depth}`);
      else if (!Array.isArray(node) && entries.length > DOCUMENT_LIMITS.keys) {
        refuse(`found more than ${DOCUMENT_LIMITS.keys} keys in one object`);
      } else if (entries.some(([key]) => typeof key === 'string' && !isWellFormed(key))) {
        refuse('found half of a surrogate pair in a key, expected both');
      } else for (const [key, item] of entries) visit(item, [...steps, key]);
    }
  };
  visit(value, []);
  return problems;
}

function isWellFormed(text: string): boolean {
  return !/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(text);
}
