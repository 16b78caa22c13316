import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { compilePlugin } from '../support/compile-plugin.ts';
import { startTwin, TWIN_KINDS, type Twin, type TwinOptions } from '../support/twin.ts';
import { headerOf } from '../support/upstream.ts';

describe.each(TWIN_KINDS)('a trap in %s', (kind) => {
  let module: string;
  let twin: Twin | undefined;
  /** Set while an upstream holds its answer back. */
  let release: (() => void) | undefined;
  let held: Promise<void>;

  beforeAll(async () => {
    module = await compilePlugin('test/plugins/ends.ts');
  });
  afterEach(async () => {
    release?.();
    await twin?.stop();
    twin = undefined;
  });

  async function start(failurePolicy: TwinOptions['failurePolicy'] & string): Promise<Twin> {
    let arrived: () => void = () => undefined;
    held = new Promise((resolve) => {
      arrived = resolve;
    });
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    twin = await startTwin(kind, {
      module,
      rootId: 'ends',
      failurePolicy,
      upstream: async ({ headers }) => {
        if (headerOf(headers, 'x-hold') !== undefined) {
          arrived();
          await gate;
        }
        return { body: 'answer' };
      },
    });
    return twin;
  }

  /** Status, and whether the plugin saw the response. */
  async function get(path: string): Promise<[number, boolean]> {
    const { status, headers } = await (twin as Twin).exchange({ path });
    return [status, headerOf(headers, 'x-seen-by-response') !== undefined];
  }

  test.each(['/panic', '/abort', '/panic-response'])('%s: that request gets 503', async (path) => {
    await start('closed');
    expect(await get('/plain')).toEqual([200, true]);
    expect(await get(path)).toEqual([503, false]);
  });

  test('closed: 503 for every later request', async () => {
    await start('closed');
    expect(await get('/panic')).toEqual([503, false]);
    expect(await get('/plain')).toEqual([503, false]);
    expect(await get('/plain')).toEqual([503, false]);
  });

  test('open: later requests pass without the plugin', async () => {
    await start('open');
    expect(await get('/panic')).toEqual([503, false]);
    expect(await get('/plain')).toEqual([200, false]);
  });

  test('reload: a new VM, unless the failed one is younger than a second', async () => {
    const host = await start('reload');
    const served = async (): Promise<boolean> => (await get('/plain')).join() === '200,true';
    expect(await get('/panic')).toEqual([503, false]);
    await host.eventually('a new VM', served);
    expect(await get('/panic')).toEqual([503, false]);
    expect(await get('/plain')).toEqual([503, false]);
    await host.eventually('a new VM again', served);
  });

  test('a stream in flight in the same VM gets 503 as well', async () => {
    const host = await start('reload');
    const inFlight = host.exchange({ path: '/plain', headers: [['x-hold', '1']] });
    await held;
    expect(await get('/panic')).toEqual([503, false]);
    release?.();
    const { status, headers } = await inFlight;
    expect([status, headerOf(headers, 'x-seen-by-response')]).toEqual([503, undefined]);
  });

  test('an abort says where', async () => {
    const host = await start('closed');
    await get('/abort');
    expect((await host.logs()).some((line) => /^abort: on purpose at .*ends\.ts:\d+:\d+$/.test(line))).toBe(true);
  });
});
