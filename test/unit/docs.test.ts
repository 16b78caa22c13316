import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import { parseConfig } from '../../harness/config/load.ts';
import { resolveEnvoy } from '../../harness/envoy/binary.ts';
import { validateEnvoy } from '../../harness/envoy/launcher.ts';

/** What the pages under docs/ tell people to type or to write works; what they link to is there. */

const ROOT = new URL('../..', import.meta.url).pathname;
const DOCS = join(ROOT, 'docs');
const CLI = join(ROOT, 'build/causeway.mjs');
const MODULE = join(ROOT, 'build/causeway.wasm');

interface Snippet {
  readonly page: string;
  readonly line: number;
  readonly language: string;
  readonly text: string;
}

const pages = readdirSync(DOCS).filter((name) => name.endsWith('.md'));
const textOf = (page: string) => readFileSync(join(DOCS, page), 'utf8');
const snippets = pages.flatMap((page): Snippet[] => {
  const text = textOf(page);
  return Array.from(text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm), (match) => ({
    page,
    line: text.slice(0, match.index).split('\n').length,
    language: match[1] ?? '',
    text: match[2] ?? '',
  }));
});
const of = (language: string) => snippets.filter((snippet) => snippet.language === language);

let folder = '';
let envoy = '';
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cw-docs-'));
  envoy = (await resolveEnvoy()).path;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('has no block in a language that nothing here checks', () => {
  expect(snippets.length).toBeGreaterThan(15);
  expect(new Set(snippets.map(({ language }) => language))).toEqual(new Set(['yaml', 'sh']));
});

describe('configurations', () => {
  it.each(of('yaml'))('$page:$line', async ({ text, page, line }) => {
    const documents = parseAllDocuments(text);
    for (const document of documents) {
      expect(document.errors).toEqual([]);
      const value = document.toJS() as Record<string, unknown>;
      if ('static_resources' in value) {
        // Paths of a production machine, as they are here.
        const here = text
          .replaceAll('/etc/causeway/causeway.wasm', MODULE)
          .replaceAll('/run/causeway/admin.sock', join(folder, 'admin.sock'));
        const path = join(folder, `${page}-${line}.yaml`);
        writeFileSync(path, here);
        const { ok, output } = await validateEnvoy(envoy, path);
        expect([ok, ok ? '' : output]).toEqual([true, '']);
      } else if ('mesh' in value) {
        expect(resolveMesh(parseConfig(text, `${page}:${line}`)).name).toBe(value.mesh);
      } else {
        expect(value).toMatchObject({ apiVersion: expect.any(String), kind: expect.any(String) });
        expect((value.metadata as { name?: unknown }).name).toEqual(expect.any(String));
        if (value.kind === 'Deployment') checkDeployment(value as unknown as Deployment);
      }
    }
  });
});

interface Deployment {
  readonly spec: {
    readonly selector: { readonly matchLabels: Record<string, string> };
    readonly template: {
      readonly metadata: { readonly labels: Record<string, string> };
      readonly spec: {
        readonly terminationGracePeriodSeconds: number;
        readonly containers: readonly {
          readonly args?: readonly string[];
          readonly volumeMounts?: readonly { readonly name: string }[];
          readonly lifecycle?: { readonly preStop: { readonly sleep: { readonly seconds: number } } };
        }[];
        readonly volumes: readonly { readonly name: string }[];
      };
    };
  };
}

function checkDeployment({ spec }: Deployment): void {
  const { template } = spec;
  expect(template.metadata.labels).toMatchObject(spec.selector.matchLabels);
  const volumes = template.spec.volumes.map(({ name }) => name);
  for (const { args = [], volumeMounts = [], lifecycle } of template.spec.containers) {
    for (const { name } of volumeMounts) expect(volumes).toContain(name);
    const drain = Number(args[args.indexOf('--drain-time-s') + 1]);
    // The kubelet counts the sleep, too: what is left has to be enough to drain.
    if (lifecycle)
      expect(lifecycle.preStop.sleep.seconds + drain).toBeLessThan(template.spec.terminationGracePeriodSeconds);
  }
}

/** Programs of others: their options are theirs. */
const OTHERS = ['docker', 'envoy', 'istioctl', 'kubectl', 'npx'];

describe('commands', () => {
  const lines = of('sh').flatMap(({ page, text }) =>
    text.split('\n').flatMap((command) => (command === '' ? [] : [{ page, command }])),
  );
  const targets = readFileSync(join(ROOT, 'Makefile'), 'utf8');

  it.each(lines)('$page: $command', ({ command }) => {
    const [program = '', ...words] = command.split(/ +/);
    if (program === 'make') {
      for (const target of words) expect(targets).toMatch(new RegExp(`^${target}:`, 'm'));
    } else if (program === 'causeway') expectKnown(words);
    else expect(OTHERS).toContain(program);
  });

  it('would notice a command, an option or an argument that there is not', () => {
    for (const wrong of ['nosuch', 'topology --nosuch', 'status extra words', 'lane nosuch dev2']) {
      expect(() => expectKnown(wrong.split(' '))).toThrow();
    }
  });
});

/** Asks the command line itself for the help of a command, and looks for its options there. */
function expectKnown(words: readonly string[]): void {
  const path = subcommand(words);
  const help = helpOf(path);
  const usage = /^Usage: causeway (.*)$/m.exec(help)?.[1] ?? '';
  const rest = words.slice(path.length);
  const allowed = usage.replace('[options]', '').match(/[<[][^\]>]+[\]>]/g) ?? [];
  let given = 0;
  for (let n = 0; n < rest.length; n++) {
    const word = rest[n] ?? '';
    if (!word.startsWith('-')) {
      given += 1;
      continue;
    }
    const described = new RegExp(`^ +(?:-\\w, )?${word}(?: ([<[]))?`, 'm').exec(help + helpOf([]));
    expect([word, described === null]).toEqual([word, false]);
    const value = rest[n + 1];
    if (described?.[1] !== undefined && value !== undefined && !value.startsWith('-')) n += 1;
  }
  const many = allowed.some((argument) => argument.includes('...'));
  const needed = allowed.filter((argument) => argument.startsWith('<')).length;
  expect(given).toBeGreaterThanOrEqual(needed);
  if (!many) expect(given).toBeLessThanOrEqual(allowed.length);
}

/** The words at the beginning that name a command. */
function subcommand(words: readonly string[]): string[] {
  const path: string[] = [];
  for (const word of words) {
    if (word.startsWith('-') || !new RegExp(`^  ${word}(?:\\||  | \\[| <)`, 'm').test(helpOf(path))) break;
    path.push(word);
  }
  if (path.length === 0) throw new Error(`no command ${words.join(' ')}`);
  if (/^Commands:/m.test(helpOf(path)) && /\[command\]/.test(helpOf(path)) && words.length > path.length) {
    const [next = ''] = words.slice(path.length);
    if (!next.startsWith('-')) throw new Error(`no command ${words.join(' ')}`);
  }
  return path;
}

const helps = new Map<string, string>();
function helpOf(path: readonly string[]): string {
  const key = path.join(' ');
  const known = helps.get(key);
  if (known !== undefined) return known;
  if (!existsSync(CLI)) throw new Error(`${CLI}: not there; run \`make build\``);
  const env = { ...process.env, COLUMNS: '400' };
  const { stdout, status } = spawnSync(process.execPath, [CLI, ...path, '--help'], { encoding: 'utf8', env });
  expect(status).toBe(0);
  helps.set(key, stdout);
  return stdout;
}

describe('links', () => {
  const links = pages
    .flatMap((page) =>
      Array.from(textOf(page).matchAll(/\]\(([^)#\s]+)(#[^)\s]*)?\)/g), ([, target = '']) => ({ page, target })),
    )
    .filter(({ target }) => !/^https?:/.test(target));

  it('lead to something', () => {
    expect(links.length).toBeGreaterThan(20);
    for (const { page, target } of links) {
      expect([page, target, existsSync(join(dirname(join(DOCS, page)), target))]).toEqual([page, target, true]);
    }
  });

  it('lead from the list to every page', () => {
    const listed = links.filter(({ page }) => page === 'README.md').map(({ target }) => target);
    expect([...listed].sort()).toEqual(pages.filter((page) => page !== 'README.md').sort());
  });
});

const FILTERS = readdirSync(join(ROOT, 'filters')).filter((name) =>
  existsSync(join(ROOT, 'filters', name, 'filter.ts')),
);

it('says of every filter what happens when it fails', () => {
  for (const filter of FILTERS) expect(textOf('failures.md')).toMatch(new RegExp(`^\\| \`${filter}\` \\|`, 'm'));
});

describe('the support matrix', () => {
  const rows = textOf('support.md')
    .split('\n')
    .filter((line) => /^\| `/.test(line))
    .map((line) =>
      line
        .split('|')
        .map((cell) => cell.trim())
        .slice(1, -1),
    );

  it('has every filter, and in each cell "no" or the test that shows it', () => {
    for (const filter of FILTERS) expect(rows.filter(([name]) => name === `\`${filter}\``)).toHaveLength(3);
    for (const [name = '', ...cells] of rows) {
      for (const cell of cells) {
        if (cell === 'no') continue;
        const target = /^\[yes\]\(([^)]+)\)$/.exec(cell)?.[1] ?? '';
        expect([name, cell, target]).toEqual([name, cell, expect.stringMatching(/\.test\.ts$/)]);
        expect([target, existsSync(join(DOCS, target))]).toEqual([target, true]);
      }
    }
  });

  it('claims gRPC and HTTP/2 only where the test speaks them', () => {
    const speaks = { 'HTTP/2': /http2/i, gRPC: /grpc/i, WebSocket: /websocket/i } as const;
    const head =
      textOf('support.md')
        .split('\n')
        .find((line) => line.startsWith('| filter')) ?? '';
    const names = head
      .split('|')
      .map((cell) => cell.trim())
      .slice(1, -1);
    for (const row of rows) {
      for (const [column, cell] of row.entries()) {
        const pattern = speaks[names[column] as keyof typeof speaks];
        const target = /\(([^)]+)\)/.exec(cell)?.[1];
        if (pattern && target) expect(readFileSync(join(DOCS, target), 'utf8')).toMatch(pattern);
      }
    }
  });
});
