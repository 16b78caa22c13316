import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { parseAllDocuments, stringify } from 'yaml';
import { importLanes } from '../../envoy-configs/istio/import.ts';
import { CommandError, EXIT } from '../cli/exit-codes.ts';
import type { GlobalOptions } from '../cli/options.ts';
import type { Output } from '../cli/output.ts';
import { fieldName } from '../config/errors.ts';
import { MAX_CONFIG_BYTES, parseConfig } from '../config/load.ts';

export interface ImportOptions extends GlobalOptions {
  readonly out?: string;
  readonly name: string;
}

const MAX_ALIASES = 100;

/** `causeway import`: a `causeway.yaml` from another mesh's lanes; never writes over a file that is there. */
export function importCommand(files: readonly string[]) {
  return async (options: ImportOptions, output: Output): Promise<void> => {
    const { config, problems } = importLanes(files.flatMap(documentsOf), options.name);
    if (problems.length > 0) {
      const lines = problems.map(
        ({ path: [document = 0, ...path], found, expected }) =>
          `document ${Number(document) + 1}: ${fieldName(path)}: found ${found}, expected ${expected}`,
      );
      throw new CommandError(EXIT.invalid, lines.join('\n'));
    }
    const text = stringify(config);
    parseConfig(text, options.out ?? 'the result');
    if (options.out === undefined) output.result(text, { config });
    else {
      if (existsSync(options.out)) throw new CommandError(EXIT.invalid, `${options.out}: is there already`);
      writeFileSync(options.out, text);
      output.result(`${options.out}: written`, { file: options.out, config });
    }
  };
}

function documentsOf(file: string): unknown[] {
  if (!existsSync(file)) throw new CommandError(EXIT.invalid, `${file}: no such file`);
  if (statSync(file).size > MAX_CONFIG_BYTES)
    throw new CommandError(EXIT.invalid, `${file}: more than ${MAX_CONFIG_BYTES} bytes`);
  const parsed = parseAllDocuments(readFileSync(file, 'utf8'), { prettyErrors: false });
  if (!Array.isArray(parsed)) return [];
  return parsed.map((document) => {
    const [error] = document.errors;
    if (error) throw new CommandError(EXIT.invalid, `${file}: ${error.message.split('\n')[0]}`);
    return document.toJS({ maxAliasCount: MAX_ALIASES });
  });
}
