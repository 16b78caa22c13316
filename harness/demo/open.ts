import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Deployment, type DeploymentOptions } from '../apply/deployment.ts';
import { dropRecord } from '../apply/record.ts';
import { parseConfig } from '../config/load.ts';
import type { Progress } from '../drivers/driver.ts';
import { supervise } from '../drivers/supervisor.ts';
import { Stage, type StageOptions } from './stage.ts';

export interface OpenOptions extends Omit<StageOptions, 'deployment' | 'url'> {
  deployment: DeploymentOptions;
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
    stage = new Stage(running, { ...options, url });
    return { stage, close };
  } catch (error) {
    await close();
    throw error;
  }
}
