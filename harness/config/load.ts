import { readFileSync, statSync } from 'node:fs';
import { type Document, isMap, isNode, isPair, isScalar, LineCounter, parseDocument } from 'yaml';
import { checkConfig } from '../../envoy-configs/checks.ts';
import type { Mesh } from '../../envoy-configs/mesh.ts';
import type { Problem } from '../../envoy-configs/problem.ts';
import { type ResolveOptions, resolveMesh } from '../../envoy-configs/resolve.ts';
import type { CausewayConfig } from '../../envoy-configs/schema.ts';
import { ConfigError, fieldName } from './errors.ts';
import { schemaProblems } from './schema-errors.ts';
import { settingsProblems } from './settings-errors.ts';

/** Largest configuration file, in bytes. */
export const MAX_CONFIG_BYTES = 1 << 20;
/** Most nodes that aliases may unfold to, per anchor; a "billion laughs" document needs more. */
const MAX_ALIASES = 100;
/** Deepest nesting; the schema itself needs less than ten, matchers may nest. */
const MAX_DEPTH = 40;

export interface LoadedConfig {
  readonly file: string;
  readonly text: string;
  readonly config: CausewayConfig;
}

/** Reads and checks a configuration file. Throws {@link ConfigError} with every problem's place. */
export function loadConfig(file: string): LoadedConfig {
  const place = (found: string, expected: string, hint?: string) =>
    new ConfigError([
      { file, line: 1, column: 1, field: '', found, expected, ...(hint === undefined ? {} : { hint }) },
    ]);
  let size: number;
  try {
    const stats = statSync(file);
    if (!stats.isFile()) throw place('no regular file', 'a configuration file');
    size = stats.size;
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw place('no file', 'a configuration file', 'name one with --file, or run in its directory');
  }
  if (size > MAX_CONFIG_BYTES) throw place(`${size} bytes`, `at most ${MAX_CONFIG_BYTES}`);
  const text = readFileSync(file, 'utf8');
  return { file, text, config: parseConfig(text, file) };
}

/** {@link loadConfig} followed by resolving defaults and addresses. */
export function loadMesh(file: string, options: ResolveOptions = {}): Mesh {
  return resolveMesh(loadConfig(file).config, options);
}

/** Parses and checks the text of a configuration; `file` is for messages only. */
export function parseConfig(text: string, file: string): CausewayConfig {
  const lines = new LineCounter();
  if (Buffer.byteLength(text) > MAX_CONFIG_BYTES) {
    throw located(file, lines, undefined, [
      { path: [], found: `${Buffer.byteLength(text)} bytes`, expected: `at most ${MAX_CONFIG_BYTES}` },
    ]);
  }
  const depth = flowDepth(text);
  if (depth > MAX_DEPTH) {
    throw located(file, lines, undefined, [
      { path: [], found: `${depth} levels of brackets`, expected: `at most ${MAX_DEPTH}` },
    ]);
  }
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, strict: true });
  const [syntax] = document.errors;
  if (syntax) {
    const at = lines.linePos(syntax.pos[0]);
    throw new ConfigError([
      {
        file,
        line: at.line,
        column: at.col,
        field: '',
        found: syntax.message.split('\n')[0] ?? '',
        expected: 'valid YAML',
      },
    ]);
  }
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (error) {
    throw located(file, lines, document, [
      { path: [], found: (error as Error).message, expected: `at most ${MAX_ALIASES} uses of an alias` },
    ]);
  }
  const broken = schemaProblems(value);
  if (broken.length > 0) throw located(file, lines, document, broken);
  const config = value as CausewayConfig;
  const checked = checkConfig(config);
  const problems = checked.length > 0 ? checked : settingsProblems(config);
  if (problems.length > 0) throw located(file, lines, document, problems);
  return config;
}

/** Deepest nesting of flow collections, without parsing: the parser recurses, so this is looked at before it runs. */
function flowDepth(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (const character of text) {
    if (character === '[' || character === '{') deepest = Math.max(deepest, ++depth);
    else if (character === ']' || character === '}') depth = Math.max(0, depth - 1);
  }
  return deepest;
}

function located(
  file: string,
  lines: LineCounter,
  document: Document.Parsed | undefined,
  problems: readonly Problem[],
): ConfigError {
  return new ConfigError(
    problems.map(({ path, atKey, found, expected, hint }) => {
      const offset = document ? offsetOf(document, path, atKey ?? false) : 0;
      const at = document ? lines.linePos(offset) : { line: 1, col: 1 };
      return {
        file,
        line: at.line,
        column: at.col,
        field: fieldName(path),
        found,
        expected,
        ...(hint === undefined ? {} : { hint }),
      };
    }),
  );
}

/** Where in the text the value (or the key) at a path stands; the nearest parent that exists when it does not. */
function offsetOf(document: Document.Parsed, path: Problem['path'], atKey: boolean): number {
  for (let length = path.length; length > 0; length--) {
    const steps = path.slice(0, length);
    const parent = length === 1 ? document.contents : document.getIn(steps.slice(0, -1), true);
    if (isMap(parent)) {
      const pair = parent.items.find((item) => isPair(item) && isScalar(item.key) && item.key.value === steps.at(-1));
      const key = pair?.key;
      if (pair && isScalar(key)) {
        const value = pair.value;
        const useKey = (atKey && length === path.length) || !isNode(value) || !value.range;
        return (useKey ? key.range?.[0] : value.range?.[0]) ?? 0;
      }
    }
    const node = document.getIn(steps, true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return document.contents?.range?.[0] ?? 0;
}
