import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { Deployment, type DeploymentOptions } from '../apply/deployment.ts';
import { dropRecord } from '../apply/record.ts';
import { parseConfig } from '../config/load.ts';
import type { Progress } from '../drivers/driver.ts';
import { supervise } from '../drivers/supervisor.ts';
import { Stage, type StageOptions } from './stage.ts';

export interface OpenOptions extends Omit<StageOptions, 'driver' | 'url' | 'command'> {
  deployment: DeploymentOptions;
  /** Words that start the command line program, such as `node build/causeway.mjs`. */
  cli: readonly string[];
  /** The configuration to begin with; written to `file`, which commands then edit. */
  text: string;
  /** As clients reach the gateway. Default: its own address. */
  url?: string;
  progress?: Progress;
}

export interface OpenStage {
  stage: Stage;
  /** Ends the mesh and everything that belongs to it; safe to call twice. */
  close(): Promise<void>;
}

const COMMAND_TIMEOUT_MS = 60_000;

async function runCommand({ cli, file, deployment }: OpenOptions, words: readonly string[]): Promise<string> {
  const [program = '', ...first] = cli;
  const all = [...first, '--file', file, '--state', dirname(deployment.state.root), ...words];
  try {
    const { stdout } = await promisify(execFile)(program, all, { timeout: COMMAND_TIMEOUT_MS });
    return stdout;
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    throw new Error(`causeway ${words.join(' ')}: ${stderr?.trim() || message}`);
  }
}

/**
 * Starts a mesh in this process and offers it to commands in other processes, as `causeway up` does with a process of
 * its own.
 */
export async function openStage(options: OpenOptions): Promise<OpenStage> {
  const { deployment, file, text, progress } = options;
  const { driver, state } = deployment;
  const loaded = { file, text, config: parseConfig(text, file) };
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
  const ending = new AbortController();
  const over = supervise(driver, state, ending.signal);
  let stage: Stage | undefined;
  const close = async () => {
    stage?.close();
    ending.abort();
    await over;
    dropRecord(state);
  };
  try {
    const running = await Deployment.start(deployment, loaded, progress);
    const gateway = running.mesh.gateways[0];
    const url = options.url ?? `http://${gateway?.address}:${gateway?.port}`;
    const command = async (words: readonly string[]) => {
      const said = await runCommand(options, words);
      // The command has changed the deployment behind our back.
      return { said, running: Deployment.open(deployment) ?? running };
    };
    stage = new Stage(running, { ...options, driver, url, command });
    return { stage, close };
  } catch (error) {
    await close();
    throw error;
  }
}
