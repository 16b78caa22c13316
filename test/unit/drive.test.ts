import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { driveClosed, driveOpen } from '../../harness/drive/drive.ts';
import { Latencies } from '../../harness/drive/latency.ts';

let server: Server | undefined;

async function serve(answer: (n: number) => { status: number; afterMs: number }): Promise<string> {
  let n = 0;
  const started = createServer((_, outgoing) => {
    const { status, afterMs } = answer(n++);
    setTimeout(() => outgoing.writeHead(status).end(`answer ${n}`), afterMs);
  });
  await new Promise<void>((resolve) => started.listen(0, '127.0.0.1', resolve));
  server = started;
  return `http://127.0.0.1:${(started.address() as AddressInfo).port}`;
}

afterEach(() => server?.closeAllConnections());
afterEach(() => server?.close());

const get = (n: number) => ({ method: 'GET' as const, path: '/', headers: {}, kind: n % 2 ? 'odd' : 'even' });

it('sends at the stated rate however slow the answers are, and counts latency from the due time', async () => {
  const target = await serve(() => ({ status: 200, afterMs: 300 }));
  const report = await driveOpen({ target, rate: 200, durationMs: 500, next: get });
  expect(report).toMatchObject({ sent: 100, failed: 0, notSent: 0, statuses: { 200: 100 } });
  expect(report.latency.p50).toBeGreaterThanOrEqual(295);
  // A closed loop would need 300 ms for each of them on every connection.
  expect(report.elapsedMs).toBeLessThan(1_500);
});

it('counts what was due but not sent when too many are in flight', async () => {
  const target = await serve(() => ({ status: 200, afterMs: 400 }));
  const report = await driveOpen({ target, rate: 100, durationMs: 300, maxInFlight: 10, next: get });
  expect(report.sent).toBe(10);
  expect(report.notSent).toBe(20);
});

it('keeps the stated number in flight and groups by kind and by reason', async () => {
  const target = await serve((n) => ({ status: n % 10 === 0 ? 503 : 200, afterMs: 5 }));
  const report = await driveClosed({ target, total: 100, concurrency: 8, next: get });
  expect(report).toMatchObject({
    sent: 100,
    failed: 10,
    failures: { 'status 503': 10 },
    statuses: { 200: 90, 503: 10 },
  });
  expect(report.kinds.even?.sent).toBe(50);
  expect((report.kinds.even?.failed ?? 0) + (report.kinds.odd?.failed ?? 0)).toBe(10);
});

it('counts a refused connection as an answer that did not come', async () => {
  const target = await serve(() => ({ status: 200, afterMs: 0 }));
  await new Promise((resolve) => server?.close(resolve));
  const report = await driveClosed({ target, total: 3, concurrency: 1, next: get });
  expect(report).toMatchObject({ sent: 3, failed: 3, statuses: { 0: 3 } });
  expect(Object.keys(report.failures)[0]).toContain('ECONNREFUSED');
});

it('lets a judge find fault with the body', async () => {
  const target = await serve(() => ({ status: 200, afterMs: 0 }));
  const judge = ({ body }: { body: string }) => (body === 'answer 2' ? 'second' : null);
  const report = await driveClosed({ target, total: 4, concurrency: 1, next: get, judge });
  expect(report.failures).toEqual({ second: 1 });
});

it('finds nearest-rank percentiles beyond its first allocation', () => {
  const latencies = new Latencies();
  for (let i = 1; i <= 5_000; i++) latencies.add(5_001 - i);
  expect(latencies.summary()).toEqual({ p50: 2_500, p90: 4_500, p99: 4_950, p999: 4_995, max: 5_000 });
  expect(new Latencies().summary()).toEqual({ p50: 0, p90: 0, p99: 0, p999: 0, max: 0 });
});
