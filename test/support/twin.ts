import type { Expression } from '../emulator/foreign.ts';
import { EmulatedTwin } from './emulated-twin.ts';
import { EnvoyTwin } from './envoy-twin.ts';
import type { UpstreamHandler, UpstreamRequest } from './upstream.ts';

type Pairs = readonly (readonly [name: string, value: string])[];

export interface TwinOptions {
  /** Path of the compiled plugin. */
  readonly module: string;
  readonly rootId: string;
  /** Plugin configuration: text as it is, else JSON. */
  readonly configuration?: unknown;
  readonly vmConfiguration?: string;
  readonly failurePolicy?: 'closed' | 'open' | 'reload';
  /** Where requests go. Default: an empty 200. */
  readonly upstream?: UpstreamHandler;
  /** What CEL expressions mean, by their text: the emulator does not evaluate them. */
  readonly expressions?: Readonly<Record<string, Expression>>;
  /** Further clusters that the plugin may call. */
  readonly clusters?: Readonly<Record<string, UpstreamHandler>>;
}

export interface TwinRequest {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Pairs;
  readonly body?: string;
  readonly trailers?: Pairs;
}

export interface TwinExchange {
  /** 0 when the connection was reset instead of answered. */
  readonly status: number;
  readonly headers: Pairs;
  readonly body: string;
  readonly trailers: Pairs;
  /** What reached the upstream; undefined when the request did not get there. */
  readonly upstream: UpstreamRequest | undefined;
}

/** One plugin in one host, emulated or real, seen from outside only. */
export interface Twin {
  exchange(request?: TwinRequest): Promise<TwinExchange>;
  /** Messages that the plugin has logged, oldest first, configure time included. */
  logs(): Promise<string[]>;
  /** Value of a counter or gauge that the plugin defined. */
  metric(name: string): Promise<number | undefined>;
  /** Lets time pass until `look` holds. @throws when it does not within the deadline */
  eventually(what: string, look: () => Promise<boolean>): Promise<void>;
  stop(): Promise<void>;
}

export const TWIN_KINDS = ['emulator', 'envoy'] as const;
export type TwinKind = (typeof TWIN_KINDS)[number];

/** Starts `options.module` in a host of that kind. */
export function startTwin(kind: TwinKind, options: TwinOptions): Promise<Twin> {
  return kind === 'emulator' ? EmulatedTwin.start(options) : EnvoyTwin.start(options);
}
