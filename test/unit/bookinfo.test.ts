import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request as httpRequest, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type RunningApp, serve } from '../../harness/bookinfo/app.ts';
import { FORWARDED_HEADERS, withOwnSpan } from '../../harness/bookinfo/forward.ts';
import { callsOf, type Hop, hopsOf } from '../../harness/bookinfo/hop.ts';
import { createOutbound, type Outbound } from '../../harness/bookinfo/outbound.ts';
import { productpage } from '../../harness/bookinfo/productpage.ts';
import * as services from '../../harness/bookinfo/services.ts';
import { readSettings, type ServiceName } from '../../harness/bookinfo/settings.ts';

/** A stand-in for the sidecar: sends each call to the app that its Host names and remembers what it saw. */
interface Proxy {
  server: Server;
  ports: Map<string, number>;
  seen: { host: string; headers: IncomingHttpHeaders }[];
}

let folder = '';
let proxy: Proxy;
const apps: RunningApp[] = [];
const outbounds: Outbound[] = [];

async function startProxy(): Promise<Proxy> {
  const ports = new Map<string, number>();
  const seen: Proxy['seen'] = [];
  const server = createServer((incoming, outgoing) => {
    const host = incoming.headers.host ?? '';
    seen.push({ host, headers: incoming.headers });
    const port = ports.get(host);
    if (port === undefined) {
      outgoing.writeHead(503).end('no healthy upstream');
      return;
    }
    const { method, url: path, headers } = incoming;
    const onward = httpRequest({ host: '127.0.0.1', port, method, path, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, { ...answer.headers, 'x-proxy': 'seen', 'x-envoy-noise': '1' });
      answer.pipe(outgoing);
    });
    incoming.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, ports, seen };
}

async function start(service: ServiceName, env: Record<string, string> = {}): Promise<string> {
  const port = (proxy.server.address() as AddressInfo).port;
  const base = { LISTEN_HOST: '127.0.0.1', LISTEN_PORT: '0', OUTBOUND_PROXY: `http://127.0.0.1:${port}` };
  const settings = readSettings([service], { ...base, JOURNAL: join(folder, `${service}.jsonl`), ...env });
  const outbound = createOutbound(settings);
  outbounds.push(outbound);
  const handlers = {
    productpage: () => productpage(settings, outbound),
    details: () => services.details(settings),
    reviews: () => services.reviews(settings, outbound),
    ratings: () => services.ratings(settings),
  };
  const app = await serve(settings, handlers[service]());
  apps.push(app);
  proxy.ports.set(`${service}:9080`, app.port);
  return `http://127.0.0.1:${app.port}`;
}

const startAll = async (reviewsVersion: string): Promise<string> => {
  await start('details', { INSTANCE_ID: 'details-base-1' });
  await start('ratings', { INSTANCE_ID: 'ratings-base-1' });
  await start('reviews', { INSTANCE_ID: 'reviews-base-1', SERVICE_VERSION: reviewsVersion });
  return start('productpage', { INSTANCE_ID: 'productpage-base-1' });
};

const getJson = async (url: string, headers: Record<string, string> = {}) => {
  const answer = await request(url, { headers: { accept: 'application/json', ...headers } });
  return { status: answer.statusCode, body: (await answer.body.json()) as Record<string, unknown> & { hop: Hop } };
};

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bookinfo-'));
  proxy = await startProxy();
});

afterEach(async () => {
  for (const outbound of outbounds.splice(0)) await outbound.close();
  for (const app of apps.splice(0)) await app.close();
  proxy.server.closeAllConnections();
  await new Promise((resolve) => proxy.server.close(resolve));
  await rm(folder, { recursive: true });
});

describe('the call tree', () => {
  it('names every instance that worked on the page, callers before callees', async () => {
    const { status, body } = await getJson(`${await startAll('v3')}/productpage`);
    expect(status).toBe(200);
    expect(hopsOf(body.hop).map((hop) => hop.instance)).toEqual([
      'productpage-base-1',
      'details-base-1',
      'reviews-base-1',
      'ratings-base-1',
    ]);
    expect(callsOf(body.hop).map((call) => [call.service, call.status])).toEqual([
      ['details', 200],
      ['reviews', 200],
      ['ratings', 200],
    ]);
  });

  it('carries the request id that each instance saw and what proxies put on the answers', async () => {
    const { body } = await getJson(`${await startAll('v3')}/productpage`, { 'x-request-id': 'trace-1' });
    expect(hopsOf(body.hop).map((hop) => hop.trace)).toEqual(['trace-1', 'trace-1', 'trace-1', 'trace-1']);
    expect(callsOf(body.hop).map((call) => call.headers)).toEqual([1, 2, 3].map(() => ({ 'x-proxy': 'seen' })));
  });

  it('ends at reviews v1, which asks for no stars', async () => {
    const { body } = await getJson(`${await startAll('v1')}/productpage`);
    expect(hopsOf(body.hop).map((hop) => hop.service)).toEqual(['productpage', 'details', 'reviews']);
  });

  it("shows a callee that gave no answer of its own as the proxy's status without a hop", async () => {
    const page = await startAll('v2');
    proxy.ports.delete('ratings:9080');
    const { status, body } = await getJson(`${page}/productpage`);
    expect(status).toBe(200);
    const ratings = callsOf(body.hop).find((call) => call.service === 'ratings');
    expect(ratings).toMatchObject({ status: 503, error: 'no healthy upstream' });
    expect(ratings?.hop).toBeUndefined();
  });

  it("passes a callee's failure on at the API, with productpage's own hop around it", async () => {
    const page = await startAll('v2');
    proxy.ports.delete('reviews:9080');
    const { status, body } = await getJson(`${page}/api/v1/products/0/reviews`);
    expect(status).toBe(503);
    expect(body.hop).toMatchObject({ instance: 'productpage-base-1', calls: [{ service: 'reviews', status: 503 }] });
  });
});

describe('headers', () => {
  it("passes on exactly Istio's list and never the lane", async () => {
    const page = await startAll('v3');
    const sent = Object.fromEntries(
      FORWARDED_HEADERS.map((name, i) => [name, name === 'cookie' ? 'a=b' : `value-${i}`]),
    );
    await getJson(`${page}/productpage`, {
      ...sent,
      'x-asm-traffic-lane': 'dev1',
      baggage: 'lane=dev1',
      'x-other': '1',
    });
    expect(proxy.seen.map(({ host }) => host)).toEqual(['details:9080', 'reviews:9080', 'ratings:9080']);
    for (const { headers } of proxy.seen) {
      const passed = Object.fromEntries(
        Object.entries(headers).filter(([name]) => name !== 'host' && name !== 'connection'),
      );
      expect(passed).toEqual(sent);
    }
  });

  it('takes the end user from the session at productpage and passes the header on at reviews', async () => {
    const page = await startAll('v3');
    await getJson(`${page}/productpage`, { cookie: 'user=dev2', 'end-user': 'outsider' });
    expect(proxy.seen.map(({ headers }) => headers['end-user'])).toEqual(['dev2', 'dev2', 'dev2']);
    proxy.seen.length = 0;
    await getJson(`${page}/productpage`, { 'end-user': 'outsider' });
    expect(proxy.seen.map(({ headers }) => headers['end-user'])).toEqual([undefined, undefined, undefined]);
  });

  it('passes on what FORWARD_EXTRA names', async () => {
    await start('details');
    const page = await start('productpage', { FORWARD_EXTRA: 'Baggage, x-extra' });
    await getJson(`${page}/api/v1/products/0`, { baggage: 'lane=dev1', 'x-extra': '1', 'x-not': '1' });
    expect(proxy.seen[0]?.headers).toMatchObject({ baggage: 'lane=dev1', 'x-extra': '1' });
    expect(proxy.seen[0]?.headers).not.toHaveProperty('x-not');
  });
});

describe('own spans', () => {
  const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
  const span = '00f067aa0ba902b7';

  it('keeps the trace and changes the rest of every header that names a span', () => {
    const own = withOwnSpan({
      traceparent: `00-${trace}-${span}-01`,
      b3: `${trace}-${span}-1`,
      'x-b3-traceid': trace,
      'x-b3-spanid': span,
      'x-request-id': 'same',
    });
    const fresh = own['x-b3-spanid'];
    expect(fresh).toMatch(/^[0-9a-f]{16}$/);
    expect(fresh).not.toBe(span);
    expect(own).toEqual({
      traceparent: `00-${trace}-${fresh}-01`,
      b3: `${trace}-${fresh}-1-${span}`,
      'x-b3-traceid': trace,
      'x-b3-spanid': fresh,
      'x-b3-parentspanid': span,
      'x-request-id': 'same',
    });
  });

  it('leaves b3 without a span alone and adds nothing', () => {
    expect(withOwnSpan({ b3: '0' })).toEqual({ b3: '0' });
    expect(withOwnSpan({ b3: `${trace}-${span}` }).b3).toMatch(new RegExp(`^${trace}-[0-9a-f]{16}-1-${span}$`));
  });

  it('is what a service does that is told so', async () => {
    await start('details');
    const page = await start('productpage', { OWN_SPANS: '1' });
    await getJson(`${page}/api/v1/products/0`, { traceparent: `00-${trace}-${span}-01` });
    expect(proxy.seen[0]?.headers.traceparent).toMatch(new RegExp(`^00-${trace}-(?!${span})[0-9a-f]{16}-01$`));
  });
});

describe('POST', () => {
  const post = async (url: string, id: string) => {
    const answer = await request(url, { method: 'POST', body: JSON.stringify({ post: id, Reviewer1: 1 }) });
    await answer.body.dump();
    return answer.statusCode;
  };

  it('counts each id in every application that ran it, and twice when it ran twice', async () => {
    const page = await startAll('v3');
    expect(await post(`${page}/api/v1/products/0/reviews`, 'p1')).toBe(200);
    expect(await post(`${page}/api/v1/products/0/reviews`, 'p2')).toBe(200);
    expect(await post(`${page}/api/v1/products/0/reviews`, 'p2')).toBe(200);
    for (const service of ['productpage', 'reviews', 'ratings']) {
      const { body } = await getJson(`http://127.0.0.1:${proxy.ports.get(`${service}:9080`)}/_evidence`);
      expect(body).toMatchObject({ service, requests: 3, inFlight: 0, posts: { p1: 1, p2: 2 } });
    }
  });

  it('journals begin and end, so that the record outlives a killed application', async () => {
    const page = await startAll('v1');
    await post(`${page}/api/v1/products/0/reviews`, 'p1');
    const lines = readFileSync(join(folder, 'reviews.jsonl'), 'utf8').trim().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { event: 'begin', post: 'p1' },
      { event: 'end', post: 'p1' },
    ]);
  });

  it('keeps posted ratings and refuses what is no JSON', async () => {
    const ratings = await start('ratings');
    expect(await post(`${ratings}/ratings/7`, 'p1')).toBe(200);
    expect((await getJson(`${ratings}/ratings/7`)).body).toMatchObject({ id: 7, ratings: { Reviewer1: 1 } });
    const bad = await request(`${ratings}/ratings/7`, { method: 'POST', body: 'stars: 5' });
    expect(bad.statusCode).toBe(400);
    await bad.body.dump();
  });
});

describe('the page', () => {
  it('shows black stars for v2, red for v3, none for v1', async () => {
    const colours: Record<string, string | null> = { v1: null, v2: 'black', v3: 'red' };
    for (const [version, colour] of Object.entries(colours)) {
      const page = await startAll(version);
      const answer = await request(`${page}/productpage`, { headers: { accept: 'text/html' } });
      const text = await answer.body.text();
      expect(text).toContain('The Comedy of Errors');
      expect(/class="stars (\w+)"/.exec(text)?.[1] ?? null).toBe(colour);
    }
  });

  it('signs in by a cookie that is safe in a header, and escapes what it shows', async () => {
    const page = await startAll('v1');
    const login = async (name: string) => {
      const body = new URLSearchParams({ username: name }).toString();
      const answer = await request(`${page}/login`, { method: 'POST', body });
      await answer.body.dump();
      return String(answer.headers['set-cookie']);
    };
    expect(await login('dev2')).toContain('user=dev2;');
    expect(await login('a; Domain=evil')).toContain('user=; Path=/; Max-Age=0');
    expect(await login('<script>')).toContain('user=; Path=/; Max-Age=0');
  });
});

describe('settings', () => {
  it('names the variable, what was found and what is expected', () => {
    expect(() => readSettings(['shop'], {})).toThrow('service: found "shop", expected one of productpage');
    expect(() => readSettings(['details'], { LISTEN_PORT: '99999' })).toThrow('LISTEN_PORT: found "99999"');
    expect(() => readSettings(['details'], { PROTOCOL: 'http3' })).toThrow('PROTOCOL: found "http3"');
  });
});

describe('HTTP/2', () => {
  it('serves and calls with prior knowledge', async () => {
    await start('ratings', { PROTOCOL: 'http2', INSTANCE_ID: 'ratings-h2' });
    const port = proxy.ports.get('ratings:9080');
    const settings = readSettings(['reviews'], { PROTOCOL: 'http2', OUTBOUND_PROXY: `http://127.0.0.1:${port}` });
    const outbound = createOutbound(settings);
    outbounds.push(outbound);
    const { call } = await outbound.call('ratings', '/ratings/0', { headers: {} });
    expect(call).toMatchObject({ status: 200, hop: { instance: 'ratings-h2' } });
  });
});
