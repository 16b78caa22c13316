import { writeByRename } from '../apply/push.ts';
import { readRecord } from '../apply/record.ts';
import { CommandError, EXIT } from '../cli/exit-codes.ts';
import { type GlobalOptions, stateFolder } from '../cli/options.ts';
import type { Output } from '../cli/output.ts';
import { table } from '../cli/table.ts';
import * as edits from '../config/edit.ts';
import { type LoadedConfig, loadConfig, parseConfig } from '../config/load.ts';
import { isSupervised } from '../drivers/supervisor.ts';
import { applyConfig } from './apply.ts';

export interface LaneOptions extends GlobalOptions {
  /** False = edit the file only, also when the mesh runs. */
  readonly apply?: boolean;
}

export interface MatchOptions {
  readonly header?: string;
  readonly cookie?: string;
  readonly query?: string;
  readonly path?: string;
  readonly method?: string;
  readonly percent?: number;
  readonly match?: string;
}

/** `causeway lane list`. */
export async function laneList(options: LaneOptions, output: Output): Promise<void> {
  const { config } = loadConfig(options.file);
  const lanes = Object.entries(config.lanes ?? {}).map(([name, lane]) => ({
    lane: name,
    mode: lane.mode ?? 'permissive',
    chain: (lane.chain ?? []).join(' → '),
    services: Object.entries(config.services)
      .filter(([, service]) => service.instances[name] !== undefined)
      .map(([service]) => service)
      .join(', '),
    rules: (config.rules ?? [])
      .filter((rule) => rule.lane === name)
      .map((rule) => rule.name)
      .join(', '),
  }));
  output.result(lanes.length === 0 ? 'no lane beside the baseline' : table(lanes), { lanes });
}

/**
 * One edit of the file, checked, applied to the mesh when it runs, and only then written: a file never says what an Envoy
 * has refused.
 */
export async function editAndApply(
  options: LaneOptions,
  output: Output,
  change: (text: string) => string,
): Promise<void> {
  const before = loadConfig(options.file);
  const text = edited(before.text, change);
  const loaded: LoadedConfig = { file: before.file, text, config: parseConfig(text, `${before.file} (edited)`) };
  const state = stateFolder({ ...options, mesh: loaded.config.mesh });
  const running = readRecord(state) !== undefined && (await isSupervised(state));
  if (options.apply !== false && running) {
    await applyConfig(loaded, options, output);
    await writeByRename(before.file, text);
    return;
  }
  await writeByRename(before.file, text);
  output.result(`${before.file} edited${running ? ', not applied' : '; the mesh does not run'}`, {
    file: before.file,
    applied: false,
  });
}

function edited(text: string, change: (text: string) => string): string {
  try {
    return change(text);
  } catch (error) {
    if (error instanceof edits.EditError) throw new CommandError(EXIT.invalid, error.message);
    throw error;
  }
}

/** The matcher that the short options spell; several must all match. `--match` takes any matcher as JSON. */
export function matcherOf(options: MatchOptions): object {
  const matchers: object[] = [];
  if (options.header !== undefined) matchers.push({ header: named('--header', options.header) });
  if (options.cookie !== undefined) matchers.push({ cookie: named('--cookie', options.cookie) });
  if (options.query !== undefined) matchers.push({ query: named('--query', options.query) });
  if (options.path !== undefined) matchers.push({ path: { prefix: options.path } });
  if (options.method !== undefined) matchers.push({ method: { exact: options.method } });
  if (options.percent !== undefined) matchers.push({ percentage: { percent: options.percent } });
  if (options.match !== undefined) matchers.push(jsonObject(options.match));
  const [only] = matchers;
  if (only === undefined) {
    throw new CommandError(
      EXIT.invalid,
      'a rule needs one of --header, --cookie, --query, --path, --method, --percent, --match',
    );
  }
  return matchers.length === 1 ? only : { all: matchers };
}

function named(option: string, text: string): object {
  const at = text.indexOf('=');
  if (at < 1) throw new CommandError(EXIT.invalid, `${option}: found ${JSON.stringify(text)}, expected name=value`);
  return { name: text.slice(0, at), exact: text.slice(at + 1) };
}

function jsonObject(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Said below.
  }
  throw new CommandError(EXIT.invalid, `--match: found ${JSON.stringify(text)}, expected a matcher as a JSON object`);
}

/** `KEY=VALUE` words as a record. */
export function environmentOf(words: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    words.map((word) => {
      const at = word.indexOf('=');
      if (at < 1) throw new CommandError(EXIT.invalid, `--env: found ${JSON.stringify(word)}, expected NAME=value`);
      return [word.slice(0, at), word.slice(at + 1)];
    }),
  );
}
