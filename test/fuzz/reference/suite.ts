/**
 * What the fused suite does to a request, written from the filters' schemas and descriptions in another way than the
 * filters: with objects, regular expressions and big integers, and with no thought of speed.
 */
import type { SuiteConfig } from '../../../filters/schema.ts';
import { chooseTls } from './connection-elimination.ts';
import { FallbackRequest, type Served } from './lane-fallback.ts';
import { type LocalReply, tagRequest } from './lane-tagging.ts';
import { type Connection, Counts, type Header, RequestHeaders } from './request.ts';
import { DEFAULT_SOURCES, type Source } from './trace.ts';
import { TracedRequest, type TraceMemory } from './trace-propagation.ts';

/** One role's filters. */
export class ReferenceSuite {
  readonly #config: SuiteConfig;
  readonly #memory: TraceMemory | undefined;
  readonly counts: Counts;

  /**
   * @param memory shared by the roles of one Envoy; for a configuration with trace-propagation in map mode
   * @param counts go on from the configuration before
   */
  constructor(config: SuiteConfig, memory?: TraceMemory, counts = new Counts()) {
    this.#config = config;
    this.#memory = memory;
    this.counts = counts;
  }

  /** A request with these headers arrives. @param now milliseconds since 1970 */
  request(headers: readonly Header[], connection: Connection, now: number): ReferenceRequest {
    return new ReferenceRequest(this.#config, this.#memory, this.counts, headers, connection, now);
  }
}

export class ReferenceRequest {
  readonly headers: RequestHeaders;
  /** The answer in place of the upstream's, if the suite gives one. */
  readonly reply: LocalReply | undefined;
  readonly #traced: TracedRequest | undefined;
  readonly #fallback: FallbackRequest | undefined;

  constructor(
    config: SuiteConfig,
    memory: TraceMemory | undefined,
    counts: Counts,
    headers: readonly Header[],
    connection: Connection,
    now: number,
  ) {
    const tagging = config['lane-tagging'];
    const propagation = config['trace-propagation'];
    const fallback = config['lane-fallback'];
    this.headers = new RequestHeaders(headers);
    if (propagation !== undefined && memory !== undefined)
      this.#traced = new TracedRequest(propagation, memory, counts);
    if (fallback !== undefined) this.#fallback = new FallbackRequest(fallback, counts);
    const elimination = config['connection-elimination'];
    const sources: readonly Source[] = tagging?.sources ?? propagation?.sources ?? DEFAULT_SOURCES;

    // Outbound, tagging sees only requests whose trace has no tag; elsewhere propagation learns what tagging decides.
    if (propagation?.direction === 'outbound') this.#traced?.request(this.headers, now);
    if (tagging !== undefined) this.reply = tagRequest(tagging, sources, this.headers, connection, counts);
    if (this.reply !== undefined) return;
    if (propagation?.direction === 'inbound') this.#traced?.request(this.headers, now);
    this.reply = this.#fallback?.request(this.headers, sources, connection);
    if (this.reply === undefined && elimination !== undefined) chooseTls(elimination, sources, this.headers);
  }

  /** The request has ended, answered by `served` or reset. */
  end(served: Served, now: number): void {
    this.#fallback?.end(served);
    this.#traced?.end(now);
  }
}
