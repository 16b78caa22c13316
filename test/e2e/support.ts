import { existsSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';
import { type Hop, isHop } from '../../harness/bookinfo/hop.ts';
import { StateFolder } from '../../harness/drivers/state.ts';
import { bundle } from '../../tools/bundle.ts';

export const ROOT = new URL('../..', import.meta.url).pathname;

/** The bundle of the Bookinfo services, made anew when a source is newer. */
export async function bookinfoBundle(): Promise<string> {
  const path = join(ROOT, 'build/bookinfo.mjs');
  const sources = ['main', 'app', 'productpage', 'page', 'services', 'outbound', 'forward', 'hop', 'settings'];
  const newest = Math.max(...sources.map((name) => statSync(join(ROOT, `harness/bookinfo/${name}.ts`)).mtimeMs));
  if (!existsSync(path) || statSync(path).mtimeMs < newest) {
    await mkdir(join(ROOT, 'build'), { recursive: true });
    await bundle('bookinfo', path);
  }
  return path;
}

/** A state folder that is removed again; its path is short enough for sockets. */
export async function temporaryState(): Promise<{ state: StateFolder; remove: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'cw-'));
  return { state: new StateFolder(folder), remove: () => rm(folder, { recursive: true, force: true }) };
}

export interface Asked {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
  /** The applications' evidence, when an application answered. */
  hop: Hop | null;
}

/** One request with its evidence; asks for JSON, so that the page comes as a call tree. */
export async function ask(
  url: string,
  headers: Readonly<Record<string, string>> = {},
  options: { method?: 'GET' | 'POST'; body?: string } = {},
): Promise<Asked> {
  const answer = await request(url, {
    method: options.method ?? 'GET',
    headers: { accept: 'application/json', ...headers },
    ...(options.body === undefined ? {} : { body: options.body }),
    headersTimeout: 20_000,
  });
  const text = await answer.body.text();
  let hop: Hop | null = null;
  try {
    const parsed = JSON.parse(text) as { hop?: unknown };
    if (isHop(parsed.hop)) hop = parsed.hop;
  } catch {
    // A proxy's own answer is no JSON.
  }
  return { status: answer.statusCode, headers: answer.headers, text, hop };
}
