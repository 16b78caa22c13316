import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compilePlugin } from '../support/compile-plugin.ts';
import { startTwin, TWIN_KINDS, type Twin } from '../support/twin.ts';
import { headerOf, type UpstreamRequest } from '../support/upstream.ts';

describe.each(TWIN_KINDS)('HTTP calls in %s', (kind) => {
  let twin: Twin;
  const asked: UpstreamRequest[] = [];
  beforeAll(async () => {
    twin = await startTwin(kind, {
      module: await compilePlugin('test/plugins/http-call.ts'),
      rootId: 'http-call',
      clusters: {
        web: (request) => {
          asked.push(request);
          return { headers: [['x-from', 'web']], body: `verdict on ${request.body} \xe9\xff` };
        },
      },
    });
  });
  afterAll(() => twin?.stop());

  test('a request waits for the answer and goes on with it', async () => {
    const { status, upstream } = await twin.exchange({ path: '/x' });
    expect(status).toBe(200);
    expect(headerOf(upstream?.headers ?? [], 'x-verdict')).toBe('verdict on resume \xe9\xff');
    expect(asked.map(({ body }) => body)).toEqual(['resume']);
    await twin.eventually('the end of the stream', async () => (await twin.logs()).includes('reset'));
    expect(await twin.logs()).toEqual([
      'without headers: 2',
      'to nowhere: 2',
      'to web: 0',
      expect.stringMatching(/^answer 200 "verdict on resume /),
      'from "web"',
      'reset',
    ]);
  });

  test('many at once each get their own', async () => {
    const answers = await Promise.all([1, 2, 3, 4, 5].map((n) => twin.exchange({ path: `/${n}` })));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    expect(asked).toHaveLength(6);
  });
});
