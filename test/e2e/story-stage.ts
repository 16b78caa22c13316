import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as edits from '../../harness/config/edit.ts';
import { openStage } from '../../harness/demo/open.ts';
import { meshFile } from '../../harness/demo/run.ts';
import type { SceneResult } from '../../harness/demo/scene.ts';
import type { Stage } from '../../harness/demo/stage.ts';
import { ProcessDriver } from '../../harness/drivers/process.ts';
import { StateFolder } from '../../harness/drivers/state.ts';
import { envoyVersion, resolveEnvoy } from '../../harness/envoy/binary.ts';
import { bookinfoBundle, ROOT } from './support.ts';

export interface StoryOptions {
  /** First two octets of all addresses, so that tests and a demo can run beside each other. */
  network: string;
  scale: number;
  claimDeadlineMs?: number;
  /** Instead of `build/causeway.wasm`. */
  wasmPath?: string;
  edit?(text: string): string;
}

/** The demo's mesh as local processes, as `make test` has built everything for it. */
export async function openStory(options: StoryOptions): Promise<{ stage: Stage; close: () => Promise<void> }> {
  const wasmPath = options.wasmPath ?? built('causeway.wasm');
  const cli = [process.execPath, built('causeway.mjs')];
  const folder = await mkdtemp(join(tmpdir(), 'cw-'));
  const state = new StateFolder(join(folder, 'bookinfo'));
  const envoy = (await resolveEnvoy()).path;
  const driver = new ProcessDriver({ state, envoy, bookinfo: await bookinfoBundle() });
  const minor = (await envoyVersion(envoy)).split('.').slice(0, 2).join('.');
  const { network, scale, claimDeadlineMs, edit = (text: string) => text } = options;
  const opened = await openStage({
    deployment: { state, driver, driverName: 'process', wasmPath, resolve: { network } },
    text: edit(`envoy: '${minor}'\n${readFileSync(meshFile(), 'utf8')}`),
    file: join(folder, 'bookinfo.yaml'),
    cli,
    scale,
    judgeTimes: scale === 1,
    ...(claimDeadlineMs === undefined ? {} : { claimDeadlineMs }),
  });
  return {
    stage: opened.stage,
    close: async () => {
      await opened.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Lane dev2 as the story's first scene makes it. */
export function withDev2(text: string): string {
  const rule =
    (name: string, entrance: string, match: object, at = 'gateway') =>
    (before: string) =>
      edits.addRule(before, { name, at, entrance, match, lane: 'dev2' });
  const steps = [
    (before: string) => edits.createLane(before, 'dev2', {}),
    (before: string) => edits.addService(before, 'dev2', 'reviews', { version: 'v3' }),
    rule('dev2-user', 'productpage', { header: { name: 'end-user', exact: 'dev2' } }),
    rule('dev2-preview', 'productpage', { query: { name: 'preview', exact: 'dev2' } }),
    rule('dev2-cookie', 'productpage', { cookie: { name: 'lane', exact: 'dev2' } }),
    rule('dev2-signed-in', 'reviews', { header: { name: 'end-user', exact: 'dev2' } }, 'sidecar'),
  ];
  return steps.reduce((before, step) => step(before), text);
}

/** What does not hold in a scene, for messages; empty when all does. */
export function faults(result: SceneResult): string[] {
  return [
    ...result.exchanges
      .filter(({ holds }) => !holds)
      .map(
        ({ request, status, hops, expected }) =>
          `${request}: ${status} ${hops.join(' ')} instead of ${expected.join(' ')}`,
      ),
    ...result.checks.filter(({ holds }) => !holds).map(({ what, found }) => `${what}: found ${found}`),
  ];
}

export function built(name: string): string {
  const path = join(ROOT, 'build', name);
  if (!existsSync(path)) throw new Error(`${path}: not there; run \`make build\``);
  return path;
}
