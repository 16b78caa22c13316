import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compilePlugin } from '../support/compile-plugin.ts';
import { startTwin, TWIN_KINDS, type Twin } from '../support/twin.ts';
import { headerOf } from '../support/upstream.ts';

describe.each(TWIN_KINDS)('headers twin in %s', (kind) => {
  let twin: Twin;
  beforeAll(async () => {
    twin = await startTwin(kind, {
      module: await compilePlugin('test/plugins/headers.ts'),
      rootId: 'headers',
      upstream: () => ({
        headers: [
          ['x-replaced', 'old'],
          ['x-replaced', 'older'],
          ['x-removed', '1'],
          ['x-added', 'first'],
        ],
        body: 'hello',
      }),
    });
  });
  afterAll(() => twin?.stop());

  test('reads, adds, replaces, removes; bytes and duplicates', async () => {
    const { status, headers, body, upstream } = await twin.exchange({
      path: '/a?b',
      headers: [
        ['x-twice', 'one'],
        ['X-Twice', 'two'],
        ['x-replaced', 'old'],
        ['x-removed', '1'],
        ['x-bytes', '\x80\xe9\xff'],
        ...['x-request-id', 'cookie', 'traceparent', 'user-agent', 'x-forwarded-for', 'content-type'].flatMap(
          (name): [string, string][] => [
            [name, 'one'],
            [name, 'two'],
          ],
        ),
      ],
    });
    expect(status).toBe(200);
    expect(body).toBe('hello');
    const sent = upstream?.headers ?? [];
    expect(headerOf(sent, 'x-added')).toBe('new,/a?b');
    expect(headerOf(sent, 'x-replaced')).toBe('new');
    expect(headerOf(sent, 'x-removed')).toBeUndefined();
    expect(headerOf(sent, 'x-seen')).toBe('\x80\xe9\xff');
    expect(headerOf(headers, 'x-added')).toBe('first,new');
    expect(headerOf(headers, 'x-replaced')).toBe('new');
    expect(headerOf(headers, 'x-removed')).toBeUndefined();
    await twin.eventually('the log callback', async () => (await twin.logs()).some((line) => line.startsWith('log ')));
    expect(await twin.logs()).toEqual([
      'request "/a?b" end 1',
      'absent none',
      // Envoy hands out the first entry only, except of headers that it keeps in one slot; the property joins them all.
      'x-twice first "one" all "one,two"',
      'x-request-id first "one,two" all "one,two"',
      'cookie first "one" all "one,two"',
      'traceparent first "one" all "one,two"',
      'user-agent first "one,two" all "one,two"',
      'x-forwarded-for first "one,two" all "one,two"',
      'content-type first "one,two" all "one,two"',
      'response "200"',
      'log "/a?b" "200"',
    ]);
  });
});
