import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import type { Hop } from '../../harness/bookinfo/hop.ts';
import { parseConfig } from '../../harness/config/load.ts';
import { difference } from '../../harness/demo/claims.ts';
import {
  edges,
  expectedLane,
  failedCalls,
  laneLookup,
  notation,
  picture,
  wrongHops,
} from '../../harness/demo/evidence.ts';
import { demoPage } from '../../harness/demo/page.ts';

const text = readFileSync(join(import.meta.dirname, '../../harness/demo/bookinfo.yaml'), 'utf8');
const mesh = resolveMesh(parseConfig(text, 'bookinfo.yaml'));
const laneOf = laneLookup(mesh);

const hop = (service: string, lane: string, calls: Hop['calls'] = []): Hop => ({
  service,
  version: 'v1',
  instance: `${service}-${lane}-1`,
  trace: 't',
  calls,
});
const call = (to: Hop) => ({ service: to.service, method: 'GET', path: '/', status: 200, ms: 1, headers: {}, hop: to });
const refused = {
  service: 'ratings',
  method: 'GET',
  path: '/',
  status: 503,
  ms: 1,
  headers: {},
  error: 'no healthy upstream',
};

/** Out to the baseline's reviews and back into the lane's ratings. */
const outAndBack = hop('productpage', 'dev1', [
  call(hop('details', 'base')),
  call(hop('reviews', 'base', [call(hop('ratings', 'dev1'))])),
]);

describe('a call tree', () => {
  it('is told by service and lane, callers before callees', () => {
    expect(notation(outAndBack, laneOf)).toEqual(['productpage:dev1', 'details:base', 'reviews:base', 'ratings:dev1']);
    expect(picture(outAndBack, laneOf)).toBe(
      'productpage v1 (dev1) → [details v1 (base), reviews v1 (base) → ratings v1 (dev1)]',
    );
  });

  it('shows a call that no application answered by its status', () => {
    const broken = hop('reviews', 'base', [refused]);
    expect(notation(broken, laneOf)).toEqual(['reviews:base', 'ratings!503']);
    expect(failedCalls(broken)).toEqual(['ratings: status 503']);
    expect(failedCalls(outAndBack)).toEqual([]);
  });

  it('gives one edge for each call, the gateway’s first', () => {
    expect(
      edges('gateway', outAndBack, laneOf).map(({ caller, service, served }) => [caller, service, served]),
    ).toEqual([
      ['gateway', 'productpage', 'dev1'],
      ['productpage-dev1-1', 'details', 'base'],
      ['productpage-dev1-1', 'reviews', 'base'],
      ['reviews-base-1', 'ratings', 'dev1'],
    ]);
  });

  it('knows an instance of no lane', () => {
    expect(notation(hop('reviews', 'nowhere'), laneOf)).toEqual(['reviews:?']);
  });
});

describe('the lane that must serve', () => {
  it('is the first of the chain that has an instance', () => {
    expect(expectedLane(mesh, 'dev1', 'ratings')).toBe('dev1');
    expect(expectedLane(mesh, 'dev1', 'reviews')).toBe('base');
    expect(expectedLane(mesh, 'GROUP_2', 'details')).toBe('base');
    expect(expectedLane(mesh, 'gold', 'reviews')).toBeNull();
    expect(expectedLane(mesh, 'base', 'reviews')).toBe('base');
  });

  it('finds every hop that is elsewhere, however deep', () => {
    expect(wrongHops(mesh, 'dev1', outAndBack, laneOf)).toEqual([]);
    expect(wrongHops(mesh, 'base', outAndBack, laneOf)).toEqual([
      'productpage: dev1 instead of base',
      'ratings: dev1 instead of base',
    ]);
  });
});

describe('claims', () => {
  it('agree only when every count is the same', () => {
    const proved = new Map([
      ['a → b wanted x served x', 2],
      ['a → c wanted x served base', 1],
    ]);
    expect(difference(proved, new Map(proved))).toEqual([]);
    expect(difference(proved, new Map([['a → b wanted x served x', 3]]))).toEqual([
      'a → b wanted x served x: applications 2, proxies 3',
      'a → c wanted x served base: applications 1, proxies 0',
    ]);
  });
});

describe('the page', () => {
  it('draws each way and escapes what it was told', () => {
    const exchange = { status: 200, path: '', expected: [], holds: false };
    const page = demoPage([
      {
        number: 3,
        title: 'Out & back',
        shows: '<b>',
        exchanges: [{ ...exchange, request: 'GET /<script>', hops: notation(outAndBack, laneOf) }],
        checks: [{ what: 'it holds', holds: false, found: '<i>' }],
        figures: [],
        holds: false,
        elapsedMs: 1,
      },
    ]);
    expect(page).toContain('Out &amp; back');
    expect(page).toContain('GET /&lt;script&gt;');
    expect(page).not.toMatch(/<script>|<i>/);
    expect(page.match(/<circle/g)?.length).toBe(5);
    expect(page.match(/<path/g)?.length).toBe(4);
  });
});
