import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compilePlugin } from '../support/compile-plugin.ts';
import { startTwin, TWIN_KINDS, type Twin } from '../support/twin.ts';
import { headerOf } from '../support/upstream.ts';

/** The last line of a stream comes after its client has the answer. */
async function logsUntil(twin: Twin, last: string): Promise<string[]> {
  await twin.eventually(`log line ${last}`, async () => (await twin.logs()).includes(last));
  return await twin.logs();
}

describe.each(TWIN_KINDS)('what each phase has, in %s', (kind) => {
  let twin: Twin;
  beforeAll(async () => {
    twin = await startTwin(kind, {
      module: await compilePlugin('test/plugins/phases.ts'),
      rootId: 'phases',
      vmConfiguration: 'vm text',
      upstream: () => ({ body: 'answer', trailers: [['x-t', '1']] }),
    });
  });
  afterAll(() => twin?.stop());

  test('maps, buffers, properties and statuses', async () => {
    const { trailers } = await twin.exchange({ method: 'POST', path: '/p?q', body: 'hello' });
    expect(trailers).toEqual([['x-t', '1']]);
    // Q, q: request headers, trailers; P, p: response's. 2 = bad argument: not in this phase.
    expect(await logsUntil(twin, 'set response header: 2')).toEqual([
      'set state 0',
      'request headers reads Q- pairs Q--- body 0/0',
      'request headers path "/p?q" url "/p" method "POST" code 0 state "value"',
      'add response header: 2',
      'set response trailer: 2',
      'remove response trailer: 2',
      'set request trailer: 2',
      'effective context of nobody: 2',
      'configuration none',
      'vm configuration "vm text"',
      'plugin "twin""twins"',
      'missing property none',
      'no such root none',
      'request body reads -- pairs ---- body 0/0',
      'request body path none url none method none code 0 state "value"',
      'set request header: 2',
      'set request trailer: 0',
      'response headers reads -P pairs -qP- body 0/0',
      'response headers path none url none method none code 8 state "value"',
      'set request header: 2',
      'log reads QP pairs Q-Pp body 0/0',
      'log path "/p?q" url "/p" method "POST" code 8 state "value"',
      'set response header: 2',
    ]);
  });
});

describe.each(TWIN_KINDS)('bodies and trailers in %s', (kind) => {
  let twin: Twin;
  beforeAll(async () => {
    twin = await startTwin(kind, {
      module: await compilePlugin('test/plugins/bodies.ts'),
      rootId: 'bodies',
      upstream: ({ body }) => ({ body: `got ${body}`, trailers: [['x-trailer', 'up']] }),
    });
  });
  afterAll(() => twin?.stop());

  test('a body is held until it is whole, then replaced', async () => {
    const before = (await twin.logs()).length;
    const { body, upstream, trailers } = await twin.exchange({ method: 'POST', path: '/replace', body: 'hello' });
    expect(upstream?.body).toBe('other');
    expect(body).toBe('got other');
    expect(trailers).toEqual([
      ['x-trailer', 'up'],
      ['x-new-trailer', 'other'],
    ]);
    expect((await twin.logs()).slice(before)).toEqual([
      'whole "hello" part "llo"',
      'past the end ""',
      'replace the middle: 2',
      'replace: 0',
      'response trailers "up"',
      'set: 0',
    ]);
  });

  test('bytes are added at both ends', async () => {
    const { upstream } = await twin.exchange({ method: 'POST', path: '/wrap', body: 'h\xe9llo\xff' });
    expect(upstream?.body).toBe('<h\xe9llo\xff>');
  });

  test('request trailers are read', async () => {
    const before = (await twin.logs()).length;
    await twin.exchange({ method: 'POST', path: '/none', body: 'hello', trailers: [['x-trailer', 'down']] });
    expect((await twin.logs())[before]).toBe('request trailers 1 "down"');
  });
});

describe.each(TWIN_KINDS)('streams that end early in %s', (kind) => {
  let twin: Twin;
  beforeAll(async () => {
    twin = await startTwin(kind, {
      module: await compilePlugin('test/plugins/ends.ts'),
      rootId: 'ends',
      upstream: () => ({ body: 'answer' }),
    });
  });
  afterAll(() => twin?.stop());

  const denied: [path: string, status: number, body: string, reachesUpstream: boolean, seenByResponse: boolean][] = [
    ['/deny', 403, 'denied', false, true],
    ['/deny-and-continue', 403, 'denied', false, true],
    ['/deny-empty', 204, '', false, true],
    ['/deny-response', 502, 'denied', true, false],
    ['/plain', 200, 'answer', true, true],
  ];
  test.each(denied)('%s is answered with %i', async (path, status, body, reaches, seen) => {
    const answer = await twin.exchange({ path });
    expect(answer.status).toBe(status);
    expect(answer.body).toBe(body);
    expect(answer.upstream !== undefined).toBe(reaches);
    expect(headerOf(answer.headers, 'x-seen-by-response')).toBe(seen ? 'yes' : undefined);
    if (body === 'denied') {
      expect(answer.headers.filter(([name]) => name === 'x-mark')).toEqual([
        ['x-mark', 'yes'],
        ['x-mark', 'twice'],
      ]);
      expect(headerOf(answer.headers, 'content-type')).toBe('text/plain');
    }
    await logsUntil(twin, `log "${path}" "${status}"`);
  });

  test('a body is refused', async () => {
    const { status, upstream } = await twin.exchange({ method: 'POST', path: '/deny-body', body: 'x' });
    expect([status, upstream]).toEqual([413, undefined]);
  });

  test('a gRPC request gets trailers only', async () => {
    const { status, headers, body } = await twin.exchange({
      path: '/grpc',
      headers: [['content-type', 'application/grpc']],
    });
    expect([status, body]).toEqual([200, '']);
    expect(headerOf(headers, 'grpc-status')).toBe('5');
    expect(headerOf(headers, 'grpc-message')).toBe('denied');
  });

  test.each(['/close', '/close-response'])('%s resets the stream', async (path) => {
    const { status, upstream } = await twin.exchange({ path });
    expect(status).toBe(0);
    expect(upstream !== undefined).toBe(path === '/close-response');
  });
});
