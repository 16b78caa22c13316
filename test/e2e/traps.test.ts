/**
 * What a trap costs. A bug that traps must take nothing with it but the requests that are in flight in its own VM; one
 * that traps again and again must be seen. The module is the suite with a trigger around it (test/plugins/trap-suite.ts).
 * CAUSEWAY_SCALE=1 runs 20 traps.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';
import { type Measured, verdictLines, writeFigures } from '../figures/figures.ts';
import { compilePlugin } from '../support/compile-plugin.ts';
import { scale } from '../support/scale.ts';
import { ROLES, type TrapRole, TrapSidecar, WORK_MS } from '../traps/sidecar.ts';
import { type Damage, damageOf, isLost, Traffic } from '../traps/traffic.ts';

const SCALE = scale();
const TRAPS = Math.max(4, Math.round(20 / SCALE));
const APART_MS = 3_000;
const RATE = 500;
const DEATHS_PER_SECOND = 10;
const DEATH_SECONDS = SCALE <= 1 ? 20 : 6;
/** A role's VM beats every second; two missed beats and the age of the admin's answer are no alarm. */
const FRESH_SECONDS = 3.5;
/** The sidecar writes its log ten times a second. */
const LOG_FLUSH_MS = 500;
const MIB = 1024 * 1024;

const measured: Measured[] = [];
let module = '';

beforeAll(async () => {
  module = await compilePlugin('test/plugins/trap-suite.ts');
});

afterAll(() => {
  const figures = writeFigures('traps', measured);
  process.stdout.write(`${verdictLines(figures).join('\n')}\n`);
});

it('loses what is in flight in the VM that traps, and nothing else', async () => {
  const sidecar = await TrapSidecar.start(module);
  const traffic = new Traffic(sidecar, RATE);
  try {
    traffic.start();
    // The first reload of each role makes what later ones use again.
    for (const role of ROLES) {
      await sleep(APART_MS);
      await traffic.trap(role);
    }
    await sleep(APART_MS);
    const before = await sidecar.residentBytes();
    const from = Date.now();
    for (let n = 0; n < TRAPS; n++) {
      expect(await traffic.trap(ROLES[n % ROLES.length] as TrapRole)).toBe(503);
      await sleep(APART_MS);
    }
    const drift = ((await sidecar.residentBytes()) - before) / MIB;
    const to = Date.now();
    await traffic.stop();
    await sleep(LOG_FLUSH_MS);

    const requests = await sidecar.requests();
    const traps = requests.filter((one) => one.trap && one.start >= from);
    const damages = traps.map((trap, n) => damageOf(trap, requests, traps[n + 1]?.start ?? to, WORK_MS));
    const sum = (pick: (one: Damage) => number): number => damages.reduce((total, one) => total + pick(one), 0);
    const inTime = requests.filter((one) => !one.trap && one.start >= from && one.start < to);
    const lost = sum((one) => one.lost);
    const name = 'single traps';
    measured.push(
      {
        name,
        metric: "lost beyond the streams in flight in the role's VM",
        value: sum((one) => one.beyond),
        unit: 'requests',
        peers: { 'in flight': sum((one) => one.inFlight), lost },
      },
      { name, metric: 'lost in other roles', value: sum((one) => one.others), unit: 'requests' },
      { name, metric: 'recovered after', value: Math.max(...damages.map((one) => one.recoveredMs)), unit: 'ms' },
      { name, metric: 'memory drift', value: drift, unit: 'MiB' },
      {
        name,
        metric: 'requests per second',
        value: (1_000 * inTime.length) / (to - from),
        unit: '1/s',
        peers: { traps: traps.length },
      },
    );
    expect(traps.length).toBe(TRAPS);
    expect(lost).toBeGreaterThan(0);
    expect(damages.map((one) => one.beyond)).toEqual(traps.map(() => 0));
    expect(damages.map((one) => one.others)).toEqual(traps.map(() => 0));
    expect(Math.max(...damages.map((one) => one.recoveredMs))).toBeLessThanOrEqual(50);
    expect(drift).toBeLessThan(5);
    // Everything not counted above was served.
    expect(inTime.filter((one) => one.start > (traps[0]?.end ?? to) && isLost(one)).length).toBeLessThanOrEqual(lost);
  } finally {
    await traffic.stop();
    await sidecar.stop();
  }
});

it('shows a query of death by its heartbeat and its reloads, and serves the other role', async () => {
  const role: TrapRole = 'inbound';
  const other: TrapRole = 'outbound';
  const sidecar = await TrapSidecar.start(module);
  const traffic = new Traffic(sidecar, RATE);
  try {
    traffic.start();
    await waitUntil(
      'both roles to beat',
      async () => {
        const ages = await Promise.all(ROLES.map((one) => sidecar.heartbeatAge(one)));
        return ages.every((age) => age < FRESH_SECONDS) ? found(undefined) : notYet(`ages ${ages.join(', ')} s`);
      },
      { deadlineMs: 15_000 },
    );
    const configured = await sidecar.configured(role);
    const from = Date.now();
    let deaths = 0;
    while (deaths < DEATHS_PER_SECOND * DEATH_SECONDS) {
      await traffic.trap(role);
      deaths++;
      await sleep(Math.max(0, from + (deaths * 1_000) / DEATHS_PER_SECOND - Date.now()));
    }
    const to = Date.now();
    const stale = await sidecar.heartbeatAge(role);
    const fresh = await sidecar.heartbeatAge(other);
    const reloads = (await sidecar.configured(role)) - configured;
    const back = await waitUntil(
      'the role to beat again',
      async () => {
        const age = await sidecar.heartbeatAge(role);
        return age < FRESH_SECONDS ? found(Date.now() - to) : notYet(`last beat ${age} s ago`);
      },
      { deadlineMs: 15_000 },
    );
    await traffic.stop();
    await sleep(LOG_FLUSH_MS);
    const requests = (await sidecar.requests()).filter((one) => !one.trap);
    const during = requests.filter((one) => one.start >= from && one.start < to);
    const lost = during.filter((one) => one.role === role && isLost(one)).length;
    const seconds = (to - from) / 1_000;
    const share = lost / during.filter((one) => one.role === role).length;
    const name = 'query of death';
    measured.push(
      {
        name,
        metric: 'shown by heartbeat and reload counter',
        value: stale > FRESH_SECONDS && fresh < FRESH_SECONDS && reloads > 0 ? 1 : 0,
        unit: 'yes = 1',
        peers: { 'lost per second': lost / seconds },
      },
      {
        name,
        metric: 'lost in its role',
        value: share,
        unit: 'share',
        peers: { 'deaths per second': deaths / seconds },
      },
      { name, metric: 'age of the heartbeat', value: stale, unit: 's', peers: { 'other role': fresh } },
      { name, metric: 'reloads seen', value: reloads, unit: 'reloads' },
      { name, metric: 'beats again after', value: back / 1_000, unit: 's' },
    );
    expect(during.filter((one) => one.role === other && isLost(one))).toEqual([]);
    expect(stale).toBeGreaterThan(FRESH_SECONDS);
    expect(fresh).toBeLessThan(FRESH_SECONDS);
    expect(reloads).toBeGreaterThan(0);
    // When it is over, it is over.
    expect(requests.filter((one) => one.start > to + 2_000 && isLost(one))).toEqual([]);
  } finally {
    await traffic.stop();
    await sidecar.stop();
  }
});
