import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Topology } from '../../harness/topology/model.ts';
import { TopologyServer } from '../../harness/topology/server.ts';
import { bundlePage } from '../../tools/bundle.ts';
import { browserMissing, openBrowser } from '../support/browser.ts';
import { edge, HISTORY, place, sample } from './sample.ts';

let html = '';
const source = {
  topology: undefined as Topology | undefined,
  history: (what: object) => ('service' in what && what.service === 'nobody' ? undefined : HISTORY),
};
let server: TopologyServer;

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'cw-page-'));
  await bundlePage(join(folder, 'page.html'));
  html = readFileSync(join(folder, 'page.html'), 'utf8');
  rmSync(folder, { recursive: true });
});
beforeEach(async () => {
  source.topology = undefined;
  server = await TopologyServer.listen(source, { page: html });
});
afterEach(() => server.close());

function show(topology: Topology): void {
  source.topology = topology;
  server.publish(topology);
}

describe('the server', () => {
  const ask = (path: string, options: { method?: string; host?: string } = {}) =>
    new Promise<{ status: number; type: string; policy: string; body: string }>((resolve, reject) => {
      const headers = options.host === undefined ? {} : { host: options.host };
      const call = request(new URL(path, server.url), { method: options.method ?? 'GET', headers }, (answer) => {
        const told = () =>
          resolve({
            status: answer.statusCode ?? 0,
            type: answer.headers['content-type'] ?? '',
            policy: String(answer.headers['content-security-policy'] ?? ''),
            body,
          });
        let body = '';
        answer.setEncoding('utf8').on('data', (chunk: string) => {
          body += chunk;
        });
        answer.on('end', told);
      });
      call.on('error', reject).end();
    });

  it('listens on loopback and sends one page that may fetch nothing from elsewhere', async () => {
    expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
    const { status, policy, body } = await ask('/');
    expect(status).toBe(200);
    expect(policy).toMatch(
      /default-src 'none'; script-src 'sha256-[^']+'; style-src 'sha256-[^']+'; connect-src 'self'/,
    );
    expect(body).not.toMatch(/(src|href)="?https?:|url\(|@import/);
    expect(Buffer.byteLength(body)).toBeLessThan(64 << 10);
  });

  it.each([
    ['/topology.json', 503, {}],
    ['/topology.svg', 503, {}],
    ['/history.json', 400, {}],
    ['/history.json?service=nobody', 404, {}],
    ['/history.json?edge=x', 200, {}],
    ['/../etc/passwd', 404, {}],
    ['/', 405, { method: 'POST' }],
    ['/', 421, { host: 'rebound.example' }],
    ['/events', 421, { host: 'rebound.example' }],
    ['/', 200, { host: 'localhost:1' }],
    ['/', 200, { host: '[::1]:1' }],
  ])('answers %s with %d %o', async (path, status, options) => {
    expect((await ask(path, options)).status).toBe(status);
  });

  it('tells what it shows to machines', async () => {
    show(sample());
    expect(JSON.parse((await ask('/topology.json')).body)).toEqual(sample());
    expect((await ask('/topology.svg')).type).toBe('image/svg+xml; charset=utf-8');
  });
});

describe.skipIf(browserMissing !== null)('the page in Chromium', () => {
  let browser: Browser;
  let page: Page;
  let complaints: string[] = [];
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser.close());
  beforeEach(async () => {
    complaints = [];
    page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
    page.setDefaultTimeout(10_000);
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
    });
  });
  afterEach(() => page.close());

  it('waits, then shows services, lanes, calls and filters, and follows what changes', async () => {
    const foreign: string[] = [];
    page.on('request', (asked) => {
      if (!asked.url().startsWith(server.url) && !asked.url().startsWith('data:')) foreign.push(asked.url());
    });
    await page.goto(server.url);
    await page.getByText('Asking the Envoys').waitFor();
    show(sample());
    await page.getByRole('button', { name: /^cart, lane dev: v1 · 1 instance; 12\.5\/s/ }).waitFor();
    expect(await page.locator('.wire').count()).toBe(4);
    expect(await page.locator('.wire.fallback').count()).toBe(1);
    expect(await page.getByRole('status').textContent()).toBe('live');
    expect(await page.locator('.filter').textContent()).toContain('40 %shed level');
    const node = await page.locator('.box').first().elementHandle();
    show(sample({ edges: sample().edges.slice(1), mesh: 'renamed' }));
    await page.getByRole('heading', { name: 'renamed' }).waitFor();
    expect(await page.locator('.wire').count()).toBe(3);
    expect(await node?.evaluate((element) => element.isConnected)).toBe(true);
    expect([foreign, complaints]).toEqual([[], []]);
  });

  it('is used with the keyboard alone', async () => {
    show(sample());
    await page.goto(server.url);
    const box = page.getByRole('button', { name: /^cart, lane dev/ });
    await box.focus();
    await page.keyboard.press('Enter');
    await page.getByRole('region', { name: 'cart: details' }).waitFor();
    const chart = page.locator('[data-chart="Calls"]');
    await chart.waitFor();
    await chart.focus();
    await page.keyboard.press('ArrowLeft');
    await page.getByText('5 s ago: base 12/s, dev 0/s').waitFor();
    // Focus stays although the page is drawn anew.
    show(sample({ mesh: 'again' }));
    await page.getByRole('heading', { name: 'again' }).waitFor();
    expect(await chart.evaluate((element) => element === document.activeElement)).toBe(true);
    await page.keyboard.press('Escape');
    await page.getByRole('region', { name: 'Lanes' }).waitFor();
    const reached = new Set<string>();
    await page.locator('h1').click();
    for (let n = 0; n < 40; n++) {
      await page.keyboard.press('Tab');
      const [chosen, visible] = await page.evaluate(() => {
        const element = document.activeElement;
        const drawn = element?.querySelector('rect.card, path.line');
        // In the drawing the focused thing itself changes its colour; elsewhere there is an outline around it.
        const focus = getComputedStyle(document.documentElement).getPropertyValue('--focus');
        const probe = document.createElement('span');
        probe.style.color = focus;
        document.body.append(probe);
        const wanted = getComputedStyle(probe).color;
        probe.remove();
        // Behind the last thing the browser itself has the focus.
        if (element === document.body) return ['', true] as const;
        const visible = drawn
          ? getComputedStyle(drawn).stroke === wanted
          : getComputedStyle(element ?? document.body).outlineStyle !== 'none';
        return [element?.getAttribute('data-select') ?? '', visible] as const;
      });
      expect([chosen, visible]).toEqual([chosen, true]);
      if (chosen) reached.add(chosen);
    }
    for (const { id } of sample().places) expect([...reached]).toContain(`place:${id}`);
    for (const { id } of sample().edges) expect([...reached]).toContain(`edge:${id}`);
    expect(complaints).toEqual([]);
  });

  it('shows one call with wanted and served lane, and only one lane where that is asked', async () => {
    show(sample());
    await page.goto(server.url);
    await page.getByRole('button', { name: 'dev', exact: true }).click();
    expect(await page.locator('.wire.faint').count()).toBe(2);
    expect(await page.locator('.calls tbody tr').count()).toBe(2);
    await page
      .locator('.calls')
      .getByRole('button', { name: /served by base/ })
      .click();
    const panel = page.getByRole('region', { name: 'Calls: details' });
    await panel.getByText('wanted dev, served by base').waitFor();
    expect(await panel.textContent()).toContain('Lane dev has no usable instance of stock');
  });

  it('shows hostile names as the text that they are', async () => {
    const hostile = `<img src=x onerror="window.hit=1"><script>window.hit=1</script>&amp;`;
    const keys = ['__proto__', 'constructor', 'text 0'];
    const names = [hostile, ...keys];
    show(
      sample({
        mesh: hostile,
        lanes: [...sample().lanes, ...names.map((name) => ({ name, mode: 'permissive' as const, chain: [hostile] }))],
        places: [...sample().places, ...names.map((name) => place('cart', name))],
        edges: [...sample().edges, ...names.map((name) => edge('edge', 'cart', name, name))],
        filters: [
          {
            filter: hostile,
            state: 'alarm',
            facts: [{ label: hostile, proxies: [hostile], about: hostile, value: 1, unit: hostile, alarm: true }],
          },
        ],
        proxies: [{ id: hostile, place: 'cart/base', state: 'silent', since: 0 }],
      }),
    );
    await page.goto(server.url);
    await page.getByRole('heading', { name: hostile, exact: true }).first().waitFor();
    await page.getByRole('button', { name: hostile, exact: true }).click();
    await page
      .locator('.calls')
      .getByRole('button', { name: /^edge → cart, lane <img/ })
      .click();
    await page.getByRole('region', { name: 'Calls: details' }).waitFor();
    expect(await page.locator('img').count()).toBe(0);
    expect(await page.locator('script').count()).toBe(1);
    expect(await page.evaluate(() => 'hit' in window)).toBe(false);
    expect(complaints).toEqual([]);
  });

  it('says when Envoys do not answer, when the mesh ends and when causeway itself is gone, and goes on afterwards', async () => {
    show(sample({ proxies: [{ id: 'edge', place: 'edge', state: 'silent', since: 0 }] }));
    await page.goto(server.url);
    await page.getByRole('alert').getByText('edge does not answer.').waitFor();
    server.publish(undefined);
    await page.getByText('No mesh runs any more').waitFor();
    show(sample());
    await page.getByText('No mesh runs any more').waitFor({ state: 'detached' });
    const port = Number(new URL(server.url).port);
    await server.close();
    await page.getByText('The connection to causeway is lost').waitFor();
    expect(await page.locator('.box').count()).toBe(5);
    server = await TopologyServer.listen(source, { page: html, port });
    show(sample({ mesh: 'back' }));
    await page.getByRole('heading', { name: 'back' }).waitFor();
    expect(await page.getByRole('status').textContent()).toBe('live');
  });

  it.each(['light', 'dark'] as const)('has readable text in %s, and fits a telephone', async (colorScheme) => {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width: 390, height: 800 });
    show(sample());
    await page.goto(server.url);
    await page.locator('.box').first().waitFor();
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
    const contrasts = await page.evaluate(readContrasts);
    expect(contrasts.length).toBeGreaterThan(10);
    expect(contrasts.filter(({ ratio }) => ratio < 4.5)).toEqual([]);
  });
});

/** Contrast of texts with what lies behind them, as WCAG counts it. Runs in the page. */
function readContrasts(): { text: string; ratio: number }[] {
  const canvas = document
    .createElement('canvas')
    .getContext('2d', { willReadFrequently: true }) as CanvasRenderingContext2D;
  const rgb = (colour: string) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour: string) => {
    const [r = 0, g = 0, b = 0] = rgb(colour).map((part) => {
      const share = part / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element: Element | null): string => {
    if (element === null) return 'white';
    const { backgroundColor } = getComputedStyle(element);
    return (rgb(backgroundColor)[3] ?? 0) > 200 ? backgroundColor : behind(element.parentElement);
  };
  return [...document.querySelectorAll('p, dt, dd, th, td, li, h1, h2, h3, button')].flatMap((element) => {
    const text = element.textContent ?? '';
    if (text === '' || element.closest('svg')) return [];
    const [a, b] = [light(getComputedStyle(element).color), light(behind(element))];
    return [{ text, ratio: (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) }];
  });
}
