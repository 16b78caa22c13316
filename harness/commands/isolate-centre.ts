import { existsSync, readFileSync } from 'node:fs';
import type { Mesh } from '../../envoy-configs/mesh.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import type { IsolationState } from '../centre/api.ts';
import { CentreRefusal, OperatorClient } from '../centre/client.ts';
import { operatorTokenFile } from '../centre/tokens.ts';
import { CommandError, EXIT } from '../cli/exit-codes.ts';
import { type GlobalOptions, resolveOptions, stateFolder } from '../cli/options.ts';
import type { Output } from '../cli/output.ts';
import { table } from '../cli/table.ts';
import { loadConfig } from '../config/load.ts';
import { found, notYet, WaitTimeout, waitUntil } from '../process/wait.ts';

/** Isolation by way of the healing centre: the file stays as it is, and the order ends with the centre. */
export interface ViaOptions extends GlobalOptions {
  readonly via?: string;
  /** The operator's token; default: the one that `causeway up` has made. */
  readonly token?: string;
}

/** An agent that hears the centre has taken an order over by then. */
const HEARD_MS = 3_000;
/** The centre answers ten requests of one identity in a second. */
const LOOK_MS = 150;

export function isViaCentre({ via }: ViaOptions): boolean {
  return via === 'centre';
}

/** Answers when the agent of the instance has heard of it, or after three seconds, saying that it has not. */
export async function orderIsolation(
  instance: string,
  isolated: boolean,
  options: ViaOptions & { readonly force?: boolean },
  output: Output,
): Promise<void> {
  await withCentre(options, async (client) => {
    const given = await client.isolate({ instance, isolated, ...(options.force ? { force: true } : {}) });
    const heard = await isHeard(client, given);
    const what = isolated ? 'isolated' : 'released';
    output.result(
      heard
        ? `${instance} is ${what}, by order of the healing centre`
        : `the healing centre has the order that ${instance} is ${what}, but its proxy has not asked for it within ${HEARD_MS / 1000} s`,
      { ...given, heard },
    );
    if (!heard) process.exitCode = EXIT.failed;
  });
}

/** What the centre holds isolated. */
export async function centreIsolations(options: ViaOptions, output: Output): Promise<void> {
  await withCentre(options, async (client, mesh) => {
    const isolated = (await client.isolations()).filter((one) => one.isolated);
    const rows = isolated.map(({ instance, by, at, heard }) => ({
      instance,
      by,
      since: new Date(at).toISOString(),
      'its proxy knows': heard ? 'yes' : 'no',
    }));
    const nobody = 'no instance is isolated by order of the healing centre';
    output.result(rows.length === 0 ? nobody : table(rows), { mesh: mesh.name, isolated });
  });
}

async function withCentre(
  options: ViaOptions,
  work: (client: OperatorClient, mesh: Mesh) => Promise<void>,
): Promise<void> {
  const mesh = resolveMesh(loadConfig(options.file).config, resolveOptions(options));
  if (mesh.centre === null || mesh.isolation === null) {
    throw new CommandError(EXIT.invalid, `--via centre: found no \`centre\` with \`isolation\` in ${options.file}`);
  }
  const client = new OperatorClient(mesh.centre, tokenOf(options));
  try {
    await work(client, mesh);
  } catch (error) {
    if (error instanceof CentreRefusal) throw new CommandError(EXIT.invalid, error.message);
    throw error;
  } finally {
    await client.close();
  }
}

function tokenOf(options: ViaOptions): string {
  const path = options.token ?? operatorTokenFile(stateFolder(options));
  if (!existsSync(path)) {
    throw new CommandError(EXIT.invalid, `--token: found no file ${path}, expected one with the operator's token`);
  }
  const token = readFileSync(path, 'utf8').trim();
  if (/^[!-~]{16,512}$/.test(token)) return token;
  throw new CommandError(EXIT.invalid, `--token: found no token in ${path}, expected one word of 16 to 512 characters`);
}

async function isHeard(client: OperatorClient, { instance, version }: IsolationState): Promise<boolean> {
  try {
    return await waitUntil(
      `${instance} to hear of it`,
      async () => {
        const all = await client.isolations();
        const heard = all.some((one) => one.instance === instance && one.version === version && one.heard);
        return heard ? found(true) : notYet('not yet');
      },
      { deadlineMs: HEARD_MS, intervalMs: LOOK_MS },
    );
  } catch (error) {
    if (error instanceof WaitTimeout) return false;
    throw error;
  }
}
