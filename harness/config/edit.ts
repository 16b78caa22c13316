import { type Document, isMap, isSeq, parseDocument, type YAMLMap } from 'yaml';
import { diffLines } from '../apply/diff.ts';

/**
 * Edits of `causeway.yaml` that keep its comments and order. Each takes and returns the whole text and changes as little of
 * it as it can; whether the result is a valid configuration is for the loader to say.
 */

export class EditError extends Error {
  override name = 'EditError';
}

export function edit(text: string, change: (document: Document) => void): string {
  const document = parseDocument(text);
  const [broken] = document.errors;
  if (broken) throw new EditError(`cannot edit: ${broken.message.split('\n')[0]}`);
  const normal = document.toString(STYLE);
  change(document);
  return inOriginalStyle(text, normal, document.toString(STYLE));
}

const STYLE = { lineWidth: 0 } as const;

/**
 * The YAML writer has a style of its own (blanks in brackets, for one). Lines that the edit did not touch are given back as
 * they were written, as long as writing alone kept lines apart.
 */
function inOriginalStyle(text: string, normal: string, edited: string): string {
  const original = text.split('\n');
  const normalLines = normal.split('\n');
  if (original.length !== normalLines.length) return edited;
  let at = 0;
  const lines: string[] = [];
  for (const { kind, text: line } of diffLines(normalLines, edited.split('\n'))) {
    if (kind === '+') lines.push(line);
    else if (kind === ' ') lines.push(original[at] ?? line);
    if (kind !== '+') at++;
  }
  return lines.join('\n');
}

export interface LaneEntry {
  readonly mode?: 'strict' | 'permissive';
  readonly chain?: readonly string[];
}

export function createLane(text: string, lane: string, entry: LaneEntry): string {
  return edit(text, (document) => {
    if (document.hasIn(['lanes', lane])) throw new EditError(`lane ${lane} exists already`);
    setIn(document, ['lanes', lane], entry);
  });
}

/** Removes the lane, its instances and the rules that lead to it. Whatever else names it is left to the loader's checks. */
export function deleteLane(text: string, lane: string): string {
  return edit(text, (document) => {
    if (!document.hasIn(['lanes', lane])) throw new EditError(`no lane ${lane}`);
    document.deleteIn(['lanes', lane]);
    dropIfEmpty(document, ['lanes']);
    for (const service of keysOf(document, ['services'])) {
      document.deleteIn(['services', service, 'instances', lane]);
    }
    removeRules(document, (rule) => rule.get('lane') === lane);
  });
}

export interface InstancesEntry {
  readonly version?: string;
  readonly replicas?: number;
  readonly env?: Readonly<Record<string, string>>;
}

export function addService(text: string, lane: string, service: string, entry: InstancesEntry): string {
  return edit(text, (document) => {
    if (!document.hasIn(['services', service])) {
      throw new EditError(`no service ${service}; there are: ${keysOf(document, ['services']).join(', ')}`);
    }
    if (document.hasIn(['services', service, 'instances', lane])) {
      throw new EditError(`${service} runs in lane ${lane} already`);
    }
    setIn(document, ['services', service, 'instances', lane], entry);
  });
}

export function removeService(text: string, lane: string, service: string): string {
  return edit(text, (document) => {
    if (!document.hasIn(['services', service, 'instances', lane])) {
      throw new EditError(`${service} does not run in lane ${lane}`);
    }
    document.deleteIn(['services', service, 'instances', lane]);
  });
}

export interface RuleEntry {
  readonly name: string;
  readonly at?: string;
  readonly entrance?: string;
  readonly match: object;
  readonly lane: string;
}

export function addRule(text: string, rule: RuleEntry): string {
  return edit(text, (document) => {
    const rules = document.get('rules');
    const node = document.createNode(rule);
    const match = node.get('match', true);
    if (isMap(match)) match.flow = true;
    if (isSeq(rules)) rules.add(node);
    else document.set('rules', document.createNode([node]));
  });
}

export function removeRule(text: string, name: string): string {
  return edit(text, (document) => {
    if (removeRules(document, (rule) => rule.get('name') === name) === 0) throw new EditError(`no rule ${name}`);
  });
}

function removeRules(document: Document, drop: (rule: YAMLMap) => boolean): number {
  const rules = document.get('rules');
  if (!isSeq(rules)) return 0;
  const before = rules.items.length;
  rules.items = rules.items.filter((rule) => !(isMap(rule) && drop(rule)));
  dropIfEmpty(document, ['rules']);
  return before - rules.items.length;
}

/** Entries are short: they stand on one line, in braces, unless `flow` is false. */
export function setIn(document: Document, path: readonly string[], value: object, flow = true): void {
  const node = document.createNode(value);
  if (isMap(node)) node.flow = flow;
  const parent = path.slice(0, -1);
  // `lanes:` with nothing behind it is a null, not a mapping.
  if (!isMap(document.getIn(parent))) document.setIn(parent, document.createNode({}));
  const holder = document.getIn(parent);
  if (isMap(holder) && holder.items.length === 0) holder.flow = false;
  document.setIn(path, node);
}

function dropIfEmpty(document: Document, path: readonly string[]): void {
  const node = document.getIn(path);
  if ((isMap(node) || isSeq(node)) && node.items.length === 0) document.deleteIn(path);
}

export function keysOf(document: Document, path: readonly string[]): string[] {
  const node = document.getIn(path);
  return isMap(node) ? node.items.map((pair) => String(pair.key)) : [];
}
