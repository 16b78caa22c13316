import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MapType } from '../emulator/index.ts';
import { compilePlugin } from '../support/compile-plugin.ts';
import { startTwin, TWIN_KINDS, type Twin } from '../support/twin.ts';

describe.each(TWIN_KINDS)('shared data and queues in %s', (kind) => {
  let twin: Twin;
  beforeAll(async () => {
    twin = await startTwin(kind, { module: await compilePlugin('test/plugins/shared.ts'), rootId: 'shared' });
  });
  afterAll(() => twin?.stop());

  test('compare-and-set, and a queue to oneself', async () => {
    await twin.exchange();
    await twin.eventually('both messages', async () => (await twin.logs()).includes('queue ready "two"'));
    // 8 = another writer came first; 1 = no such queue.
    expect(await twin.logs()).toEqual([
      'never set: none',
      'first creation with any number: 0',
      'overwrite: 0',
      'with its number: 0',
      'with an old number: 8',
      'value "2" newer yes',
      'empty value: 0',
      'empty ""',
      'resolve no',
      'resolve no',
      'resolve same',
      'enqueue: 0',
      'enqueue: 0',
      'enqueue nowhere: 1',
      'request done',
      'queue ready "one"',
      'queue ready "two"',
    ]);
  });
});

describe.each(TWIN_KINDS)('metrics, timer and foreign functions in %s', (kind) => {
  let twin: Twin;
  beforeAll(async () => {
    twin = await startTwin(kind, {
      module: await compilePlugin('test/plugins/outside.ts'),
      rootId: 'outside',
      expressions: {
        'request.path == "/cel" && request.headers["x-lane"].startsWith("dev")': (context) => {
          const headers = context.readableMap(MapType.RequestHeaders);
          if (headers?.first(':path') !== '/cel') return false;
          return headers.first('x-lane')?.startsWith('dev');
        },
      },
    });
  });
  afterAll(() => twin?.stop());

  const expressions: [what: string, path: string, lane: string | undefined, verdict: string][] = [
    ['holds', '/cel', 'dev1', 'verdict 1 0'],
    ['does not hold', '/cel', 'prod', 'verdict 0 0'],
    ['needs a header that is missing', '/cel', undefined, 'verdict error 10'],
    ['is decided before the missing header', '/other', undefined, 'verdict 0 0'],
  ];
  test.each(expressions)('an expression that %s', async (_what, path, lane, verdict) => {
    const before = (await twin.logs()).length;
    await twin.exchange({ path, headers: lane === undefined ? [] : [['x-lane', lane]] });
    const lines = (await twin.logs()).slice(before).filter((line) => !line.endsWith('tick'));
    expect(lines).toEqual([
      'packed smaller: yes',
      'unpacked 96',
      'unpack rubbish none 3',
      'no function none 1',
      verdict,
    ]);
  });

  test('counters reach the host on a tick, gauges at once', async () => {
    const [counted, level] = [(await twin.metric('twin_requests_total')) ?? 0, (await twin.metric('twin_level')) ?? 0];
    await twin.eventually('earlier increments', async () => (await twin.metric('twin_requests_total')) === level / 1.5);
    await twin.exchange();
    expect(await twin.metric('twin_level')).toBe(level + 3);
    await twin.eventually('two more', async () => (await twin.metric('twin_requests_total')) === level / 1.5 + 2);
    expect(counted).toBeLessThanOrEqual(level / 1.5);
  });

  test('the timer ticks; configure refused a broken expression and forgot one that was deleted', async () => {
    await twin.eventually('three ticks', async () => (await twin.logs()).includes('third tick'));
    expect((await twin.logs()).slice(0, 2)).toEqual(['broken expression 2', 'delete 0']);
  });
});
