import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { underLoad } from '../upgrade/load.ts';
import { previousBuild } from '../upgrade/previous.ts';
import { reachAtOnce, round } from '../upgrade/rounds.ts';
import { UpgradeStage } from '../upgrade/stage.ts';
import { built } from './story-stage.ts';

/**
 * A small `make drill-upgrade`: the way of changing modules, with a module that differs from this build's in name only. The drill
 * builds the previous one for real.
 */

const TEXT = `mesh: upgrade
gateways: [{ name: gateway, routes: [{ prefix: /, service: productpage }] }]
services:
  productpage: { entrance: true, calls: [details, reviews, ratings], instances: { base: {}, dev1: {} } }
  details: { calls: [], instances: { base: {} } }
  reviews: { calls: [ratings], instances: { base: {} } }
  ratings: { calls: [], instances: { base: {}, dev1: {} } }
lanes: { dev1: {} }
rules: [{ name: dev1-user, entrance: productpage, lane: dev1, match: { header: { name: end-user, exact: dev1 } } }]
`;

let folder = '';
let stage: UpgradeStage;

/** A custom section more, which means nothing: other bytes, hence other virtual machines. */
function renamed(module: Buffer): Buffer {
  const name = Buffer.from('other');
  return Buffer.concat([module, Buffer.from([0, name.length + 1, name.length]), name]);
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cw-'));
  const wasmPath = built('causeway.wasm');
  const other = join(folder, 'other.wasm');
  await writeFile(other, renamed(await readFile(wasmPath)));
  const builds = { old: await previousBuild(other), new: { name: 'this build', wasmPath, cli: null } };
  stage = await UpgradeStage.open('127.97', TEXT, builds);
});

afterAll(async () => {
  await stage?.close();
  await rm(folder, { recursive: true, force: true });
});

describe('another module by ECDS', () => {
  it('and back under load fails no request and serves none in a wrong lane, also between two versions', async () => {
    const before = await stage.allMachines();
    let took: number[] = [];
    const { report, wrong, across } = await underLoad(stage, 2, async () => {
      took = await round(stage, 300, reachAtOnce);
    });
    expect(report.failures).toEqual({});
    expect(Object.fromEntries(wrong)).toEqual({});
    // Every proxy there and back; half of them twice, between the two mixed states.
    expect(took.length).toBeGreaterThanOrEqual(2 * stage.ids.length);
    expect(Math.min(across.old, across.new)).toBeGreaterThan(10);
    expect(report.kinds.dev1?.sent ?? 0).toBeGreaterThan(10);
    await stage.oldOnesEnded(before);
  });

  it('of a build that cannot be found says what to hand in instead', async () => {
    await expect(previousBuild(join(folder, 'none.wasm'))).rejects.toThrow(
      /^PREVIOUS: found .*none\.wasm, which is not/,
    );
    await expect(previousBuild('no-such-release')).rejects.toThrow(/commit no-such-release is not in this clone/);
  });
});
