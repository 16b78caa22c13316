/** An instance's proxy that obeys the healing centre: the agent asks, the filter keeps out; the test plays the centre. */
import { readFile } from 'node:fs/promises';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EmulatedHost, type HttpCall, type Vm } from '../emulator/index.ts';
import { pressureAnswer } from '../support/admin-answers.ts';
import { compilePlugin } from '../support/compile-plugin.ts';

const INSTANCE = 'ratings-base-2';
const TICK = 100;

let module: Uint8Array<ArrayBuffer>;
let proxy: Sidecar;

beforeAll(async () => {
  module = new Uint8Array(await readFile(await compilePlugin('filters/suite.ts')));
}, 300_000);

class Sidecar {
  readonly host = new EmulatedHost(module, { record: false });
  readonly worker: Vm;
  readonly agent: Vm;
  /** Of the last answer. */
  version = 0;

  constructor(obeys = true) {
    this.worker = this.host.vm({
      vmConfiguration: 'inbound',
      rootId: 'isolation',
      configuration: { direction: 'inbound', centre: obeys },
    });
    this.agent = this.host.vm({
      vmConfiguration: 'agent',
      rootId: 'agent',
      configuration: { centre: { instance: INSTANCE } },
    });
    if (!this.worker.configured || !this.agent.configured) throw new Error(this.host.messages().join('\n'));
  }

  /** The question that waits. */
  get question(): HttpCall | undefined {
    return this.agent.root.httpCalls.find((call) => call.pending && call.cluster === 'causeway.centre');
  }

  pass(ms: number, centre: (call: HttpCall) => void = () => undefined): void {
    for (let passed = 0; passed < ms; passed += TICK) {
      this.host.clock.advance(TICK);
      for (const call of this.agent.root.httpCalls) {
        if (!call.pending) continue;
        if (call.cluster === 'causeway.centre') centre(call);
        else call.respond({ headers: [[':status', '200']], body: pressureAnswer(10) });
      }
      if (this.agent.root.httpCalls.length > 100) this.agent.root.httpCalls.splice(0, 50);
    }
  }

  /** Waits for the next question and answers it; its path. */
  say(body: object | string, status = '200'): string {
    let path: string | undefined;
    for (let i = 0; i < 100 && path === undefined; i++) {
      this.pass(TICK, (call) => {
        if (path !== undefined) return;
        path = call.headers.get(':path');
        call.respond({ headers: [[':status', status]], body: typeof body === 'string' ? body : JSON.stringify(body) });
      });
    }
    if (path === undefined) throw new Error('no question in 10 s');
    this.host.clock.advance(2 * TICK);
    return path;
  }

  /** An answer as the centre gives it, with the next version unless one is given. */
  answer(isolated: boolean, version = Math.max(this.version + 1, this.host.clock.ms), expiresInMs = 60_000): object {
    this.version = version;
    return { instance: INSTANCE, isolated, version, expiresInMs: isolated ? expiresInMs : 0 };
  }

  /** Status of a request that is kept out; null of one that is let in. */
  ask(path = '/'): number | null {
    const { clientResponse, localResponseSent } = this.worker.exchange({ requestHeaders: [[':path', path]] });
    return localResponseSent === undefined ? null : (clientResponse?.status ?? 0);
  }

  metric(name: string): number {
    this.host.clock.advance(1_000);
    return this.host.metrics.nonZero()[`causeway_${name}`] ?? 0;
  }

  watched(result: string): number {
    return this.metric(`agent_centre_watches_total.result.${result}`);
  }
}

beforeEach(() => {
  proxy = new Sidecar();
  proxy.say({ instance: INSTANCE, isolated: false, version: 0, expiresInMs: 0 });
});

describe('an order', () => {
  it('keeps requests out within a tick of the answer, and lets them in again', () => {
    expect(proxy.ask()).toBeNull();
    const order = proxy.answer(true);
    expect(proxy.say(order)).toBe(`/v1/isolations/${INSTANCE}?known=0`);
    expect([proxy.ask(), proxy.ask('/health')]).toEqual([503, 503]);
    expect(proxy.metric('agent_centre_isolated')).toBe(1);
    expect(proxy.metric('isolation_state')).toBe(1);
    const release = proxy.answer(false, proxy.version + 1);
    expect(proxy.say(release)).toBe(`/v1/isolations/${INSTANCE}?known=${proxy.version - 1}`);
    expect(proxy.ask()).toBeNull();
    expect(proxy.watched('ok')).toBe(3);
  });

  it('is asked for one at a time, with a patience beyond the centre’s, and anew within a second', () => {
    const asked: HttpCall[] = [];
    proxy.pass(25_000, (call) => {
      if (!asked.includes(call)) asked.push(call);
    });
    expect(asked).toHaveLength(1);
    expect(asked[0]?.timeoutMs).toBe(30_000);
    expect(asked[0]?.headers.get(':method')).toBe('GET');
    asked[0]?.respond({ headers: [[':status', '200']], body: JSON.stringify(proxy.answer(false, 0)) });
    const began = proxy.host.clock.ms;
    while (proxy.question === undefined) proxy.pass(TICK);
    expect(proxy.host.clock.ms - began).toBeLessThanOrEqual(1_000);
  });

  it('ends a minute after the last word of a centre that has died', () => {
    proxy.say(proxy.answer(true));
    proxy.pass(59_000, (call) => call.fail());
    expect(proxy.ask()).toBe(503);
    proxy.pass(2_000, (call) => call.fail());
    expect(proxy.ask()).toBeNull();
    expect(proxy.metric('agent_centre_isolated')).toBe(0);
  });

  it('goes on for as long as the centre says it again', () => {
    const order = proxy.answer(true);
    for (let i = 0; i < 4; i++) {
      proxy.say(order);
      proxy.pass(40_000, (call) => call.fail());
      expect(proxy.ask()).toBe(503);
    }
  });

  it('is not forgotten by a centre that has lost its memory before its time, and does not outlive it', () => {
    proxy.say(proxy.answer(true));
    const nothing = { instance: INSTANCE, isolated: false, version: 0, expiresInMs: 0 };
    proxy.say(nothing);
    expect(proxy.ask()).toBe(503);
    proxy.pass(61_000, (call) => call.respond({ body: JSON.stringify(nothing) }));
    expect(proxy.ask()).toBeNull();
  });

  it('is not obeyed by an instance that takes none', () => {
    proxy = new Sidecar(false);
    proxy.say(proxy.answer(true));
    expect(proxy.ask()).toBeNull();
  });
});

describe('a start', () => {
  it('keeps requests out until the centre has been asked', () => {
    proxy = new Sidecar();
    expect(proxy.ask()).toBe(503);
    proxy.say(proxy.answer(true));
    expect(proxy.ask()).toBe(503);
    expect(proxy.metric('isolation_state')).toBe(1);
    proxy = new Sidecar();
    proxy.say(proxy.answer(false, 0));
    expect(proxy.ask()).toBeNull();
  });

  it('is not held up by a centre that is not there, nor for more than three seconds by a silent one', () => {
    proxy = new Sidecar();
    proxy.pass(1_200, (call) => call.fail());
    expect(proxy.ask()).toBeNull();
    proxy = new Sidecar();
    proxy.pass(2_500);
    expect(proxy.ask()).toBe(503);
    proxy.pass(1_000);
    expect(proxy.ask()).toBeNull();
  });
});

describe('bad input: an answer', () => {
  const good = { instance: INSTANCE, isolated: true, version: 5, expiresInMs: 60_000 };
  it.each<[string, string | object]>([
    ['that is empty', ''],
    ['that is no JSON', '<html>'],
    ['cut off', JSON.stringify(good).slice(0, -1)],
    ['twice', JSON.stringify(good).repeat(2)],
    ['without a version', { isolated: true, expiresInMs: 1 }],
    ['of version 0', { ...good, version: 0 }],
    ['with a fraction as version', { ...good, version: 5.5 }],
    ['that would hold for an hour', { ...good, expiresInMs: 3_600_000 }],
    ['with another type', { ...good, isolated: 1 }],
    ['with nesting without end', `{"isolated":true,"version":5,"x":${'['.repeat(3_000)}`],
    ['of 5 KiB', `${JSON.stringify(good)}${' '.repeat(5 << 10)}`],
    ['of 10 MB', `${JSON.stringify(good)}${' '.repeat(10 << 20)}`],
  ])('%s isolates nobody, and frees nobody', (_what, body) => {
    proxy.say(body);
    expect([proxy.agent.failure, proxy.ask()]).toEqual([undefined, null]);
    expect(proxy.watched('malformed')).toBe(1);
    proxy.say(proxy.answer(true));
    proxy.say(body);
    expect([proxy.agent.failure, proxy.ask()]).toEqual([undefined, 503]);
  });

  it('that was sent before is refused, and so is one from far ahead', () => {
    const order = proxy.answer(true);
    proxy.say(order);
    proxy.say(proxy.answer(false, proxy.version + 1));
    proxy.say(order);
    expect(proxy.ask()).toBeNull();
    expect(proxy.watched('stale')).toBe(1);
    proxy.say(proxy.answer(true, 9_007_199_254_740_991));
    expect(proxy.ask()).toBeNull();
    expect(proxy.watched('stale')).toBe(2);
  });

  it.each([
    ['401', 'denied'],
    ['403', 'denied'],
    ['409', 'failed'],
    ['503', 'failed'],
  ])('%s is counted as %s, and asked again each two seconds or so', (status, result) => {
    let calls = 0;
    proxy.pass(60_000, (call) => {
      calls++;
      call.respond({ headers: [[':status', status]], body: '{"error":"no"}' });
    });
    expect(proxy.watched(result)).toBe(calls);
    expect(calls).toBeGreaterThan(15);
    expect(calls).toBeLessThan(45);
  });

  it('that comes at once again and again is not asked for more than twice a second', () => {
    let calls = 0;
    const order = JSON.stringify(proxy.answer(true));
    proxy.pass(20_000, (call) => {
      calls++;
      call.respond({ headers: [[':status', '200']], body: order });
    });
    expect(calls).toBeLessThanOrEqual(40);
  });
});

describe('bad input in shared data', () => {
  it.each(['', '\0', 'x'.repeat(7), '\xff'.repeat(8), `${'\xff'.repeat(7)}\x7f`, 'x'.repeat(400)])(
    '%j isolates nobody',
    (value) => {
      proxy.host.sharedData.set('', 'v1/isolation/ordered', value, 0);
      proxy.host.clock.advance(2 * TICK);
      expect([proxy.worker.failure, proxy.ask()]).toEqual([undefined, null]);
    },
  );

  it('an hour’s jump of the clock, either way, ends what holds; then it is said again', () => {
    for (const jump of [-3_600_000, 3_600_000]) {
      proxy.say(proxy.answer(true, Math.max(proxy.version + 1, proxy.host.clock.ms)));
      expect(proxy.ask()).toBe(503);
      proxy.host.clock.jump(jump);
      proxy.host.clock.advance(2 * TICK);
      expect(proxy.ask()).toBeNull();
      proxy.say(proxy.answer(true, proxy.version));
      expect(proxy.ask()).toBe(503);
    }
  });
});
