import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { isNode, LineCounter, parseAllDocuments } from 'yaml';
import type { Json } from '../../envoy-configs/mesh.ts';
import { ConfigError } from '../config/errors.ts';
import { parseConfig } from '../config/load.ts';
import type { Document, Finding, Path } from './finding.ts';

/** Largest file that is read, and most files of a folder. */
const MAX_BYTES = 16 << 20;
const MAX_FILES = 10_000;
const MAX_ALIASES = 1_000;

export interface Read {
  readonly documents: readonly Document[];
  /** What could not be read, and what is wrong with a causeway.yaml. */
  readonly findings: readonly Finding[];
}

/** Every YAML and JSON file of a folder, or the one file that is named. */
export function readDocuments(path: string): Read {
  const base = statSync(path).isFile() ? dirname(path) : path;
  const documents: Document[] = [];
  const findings: Finding[] = [];
  for (const file of filesOf(path)) {
    const shown = relative(process.cwd(), file) || file;
    const read = readOne(file, shown, groupOf(file, base));
    documents.push(...read.documents);
    findings.push(...read.findings);
  }
  return { documents, findings };
}

function filesOf(path: string): string[] {
  if (statSync(path).isFile()) return [path];
  const names = readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ya?ml|json)$/.test(name) && !name.includes('node_modules'))
    .sort();
  if (names.length > MAX_FILES) throw new RangeError(`${path}: ${names.length} files, at most ${MAX_FILES}`);
  return names.map((name) => join(path, name)).filter((file) => statSync(file).isFile());
}

/** Files of a proxy lie below its bootstrap; those of a folder without one belong together. */
function groupOf(file: string, base: string): string {
  for (let folder = dirname(file); folder.length >= base.length; folder = dirname(folder)) {
    if (['bootstrap.json', 'bootstrap.yaml'].some((name) => existsSync(join(folder, name)))) return folder;
    if (folder === dirname(folder)) break;
  }
  // One that says everything by itself is a proxy of its own.
  return /^\s*"?(static_resources|admin|node)"?:/m.test(readFileSync(file, 'utf8').slice(0, 1 << 20)) ? file : base;
}

function readOne(file: string, shown: string, group: string): Read {
  const unreadable = (reason: string, line = 1, column = 1): Read => ({
    documents: [],
    findings: [{ rule: 'readable', place: `${shown}:${line}:${column}`, field: '', reason, fix: 'valid YAML or JSON' }],
  });
  const size = statSync(file).size;
  if (size > MAX_BYTES) return unreadable(`${size} bytes, at most ${MAX_BYTES}`);
  const text = readFileSync(file, 'utf8');
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false });
  if (!Array.isArray(parsed)) return { documents: [], findings: [] };
  const documents: Document[] = [];
  for (const document of parsed) {
    const [error] = document.errors;
    if (error) {
      const { line, col } = lines.linePos(error.pos[0]);
      return unreadable(error.message.split('\n')[0] ?? 'cannot be parsed', line, col);
    }
    let root: Json;
    try {
      root = document.toJS({ maxAliasCount: MAX_ALIASES }) as Json;
    } catch (thrown) {
      return unreadable((thrown as Error).message);
    }
    const at = (path: Path): string => {
      for (let length = path.length; length >= 0; length--) {
        const node = length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
        if (isNode(node) && node.range) {
          const { line, col } = lines.linePos(node.range[0]);
          return `${shown}:${line}:${col}`;
        }
      }
      return `${shown}:1:1`;
    };
    documents.push({ group, root, at });
  }
  return isMeshFile(documents) ? { documents: [], findings: meshFindings(text, shown) } : { documents, findings: [] };
}

function isMeshFile(documents: readonly Document[]): boolean {
  const [first] = documents;
  const root = first?.root;
  return documents.length === 1 && typeof root === 'object' && root !== null && 'mesh' in root && 'services' in root;
}

function meshFindings(text: string, shown: string): Finding[] {
  try {
    parseConfig(text, shown);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ line, column, field, found, expected, hint }) => ({
      rule: 'unknown-keys',
      place: `${shown}:${line}:${column}`,
      field,
      reason: `found ${found}: the configuration is refused`,
      fix: `${expected}${hint ? `; ${hint}` : ''}`,
    }));
  }
}
