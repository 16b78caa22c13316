import { readFileSync } from 'node:fs';
import { Agent, request } from 'undici';
import type { CentreSettings } from '../../envoy-configs/mesh.ts';
import type { IsolationOrder, IsolationState } from './api.ts';

/** What an operator asks of the healing centre. */

const TIMEOUT_MS = 5_000;

/** The centre's answer is a refusal; `status` is that of its description. */
export class CentreRefusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export class OperatorClient {
  readonly #url: string;
  readonly #token: string;
  readonly #dispatcher: Agent;

  /** Rejects later with what is wrong with the connection. @throws when the file of `tls.ca` cannot be read */
  constructor({ address, port, tls }: CentreSettings, token: string) {
    this.#url = `${tls === null ? 'http' : 'https'}://${address}:${port}`;
    this.#token = token;
    this.#dispatcher = new Agent(
      tls === null ? {} : { connect: { ca: readFileSync(tls.ca), servername: tls.name, minVersion: 'TLSv1.2' } },
    );
  }

  async isolate(order: Omit<IsolationOrder, 'sequence'>): Promise<IsolationState> {
    // Rises for as long as the clock does.
    const sequence = Date.now() * 1_000;
    return this.#ask<IsolationState>('POST', '/v1/isolations', { sequence, ...order });
  }

  async isolations(): Promise<readonly IsolationState[]> {
    return (await this.#ask<{ isolations: IsolationState[] }>('GET', '/v1/isolations')).isolations;
  }

  close(): Promise<void> {
    return this.#dispatcher.close();
  }

  async #ask<T>(method: 'GET' | 'POST', path: string, body?: object): Promise<T> {
    const { statusCode, body: answer } = await request(`${this.#url}${path}`, {
      method,
      headers: { authorization: `Bearer ${this.#token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      dispatcher: this.#dispatcher,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).catch((error: unknown) => {
      throw new Error(`${this.#url}: the healing centre does not answer: ${reason(error)}`);
    });
    const text = await answer.text();
    if (statusCode === 200) return JSON.parse(text) as T;
    throw new CentreRefusal(statusCode, `the healing centre refuses (${statusCode}): ${problemOf(text)}`);
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function problemOf(text: string): string {
  try {
    const { error } = JSON.parse(text) as { error?: unknown };
    if (typeof error === 'string') return error;
  } catch {
    // Not the centre's own answer.
  }
  return text.slice(0, 200);
}
