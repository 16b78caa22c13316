import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseDocument } from 'yaml';
import type { ResolveOptions } from '../../envoy-configs/resolve.ts';
import { StateFolder } from '../drivers/state.ts';
import { CommandError, EXIT } from './exit-codes.ts';

/** Options that every command has. */
export interface GlobalOptions {
  readonly file: string;
  readonly state: string;
  readonly mesh?: string;
  readonly json?: boolean;
  readonly network?: string;
  readonly wasm?: string;
}

/** The state folder of the mesh that is meant: by `--mesh`, by the configuration file, or the only one there is. */
export function stateFolder(options: GlobalOptions): StateFolder {
  return new StateFolder(join(resolve(options.state), meshName(options)));
}

function meshName(options: GlobalOptions): string {
  if (options.mesh !== undefined) return checked(options.mesh);
  const named = nameInFile(options.file);
  if (named !== undefined) return checked(named);
  const known = existsSync(options.state)
    ? readdirSync(options.state).filter((name) => existsSync(join(options.state, name, 'deployment.json')))
    : [];
  const [only] = known;
  if (known.length === 1 && only !== undefined) return only;
  throw new CommandError(
    EXIT.state,
    known.length === 0
      ? `no ${options.file} here and no running mesh under ${options.state}; name one with --file or --mesh`
      : `several meshes run (${known.join(', ')}); name one with --mesh`,
  );
}

/** The file's `mesh`, if it can be read at all; its other mistakes are not this function's business. */
function nameInFile(file: string): string | undefined {
  if (!existsSync(file)) return undefined;
  try {
    const name: unknown = parseDocument(readFileSync(file, 'utf8')).get('mesh');
    return typeof name === 'string' ? name : undefined;
  } catch {
    return undefined;
  }
}

/** The name becomes part of a path. */
function checked(name: string): string {
  if (/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/.test(name)) return name;
  throw new CommandError(
    EXIT.invalid,
    `mesh: found ${JSON.stringify(name)}, expected lower case letters, digits and "-"`,
  );
}

/** How addresses are laid out: loopback for processes, a subnet for containers. */
export function resolveOptions(options: GlobalOptions, containerPrefix?: string): Omit<ResolveOptions, 'leases'> {
  const network = options.network ?? containerPrefix;
  return {
    ...(network === undefined ? {} : { network }),
    ...(containerPrefix === undefined ? {} : { gatewayAddress: '0.0.0.0' }),
  };
}
