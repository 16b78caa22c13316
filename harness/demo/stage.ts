import { writeFile } from 'node:fs/promises';
import { Agent, request as httpRequest } from 'node:http';
import { parse, stringify } from 'yaml';
import { calleesByProxy, findInstance, type Instance, type Mesh } from '../../envoy-configs/mesh.ts';
import type { CausewayConfig } from '../../envoy-configs/schema.ts';
import { type Hop, isHop } from '../bookinfo/hop.ts';
import { type LoadedConfig, parseConfig } from '../config/load.ts';
import type { Driver, NodePlan } from '../drivers/driver.ts';
import { EnvoyAdmin } from '../envoy/admin.ts';
import { found, notYet, waitUntil } from '../process/wait.ts';
import type { Claimant } from './claims.ts';
import { askedEdges, type Edge, edges, type LaneOf, laneLookup, notation, picture } from './evidence.ts';

/** One request to the gateway, as a person would describe it. */
export interface Asking {
  path: string;
  method?: 'GET' | 'POST';
  headers?: Readonly<Record<string, string>>;
  body?: string;
  /** Address to call from; Linux lets any loopback address be one. */
  from?: string;
}

export interface Seen {
  request: string;
  status: number;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  text: string;
  hop: Hop | null;
  hops: string[];
  path: string;
  edges: Edge[];
}

/** A mesh that runs, whoever runs it. */
export interface RunningMesh {
  readonly mesh: Mesh;
  /** Text of the configuration that runs. */
  readonly text: string;
  readonly plans: readonly NodePlan[];
  apply(loaded: LoadedConfig): Promise<unknown>;
}

export interface StageOptions {
  driver: Driver;
  /** As clients reach the gateway: `http://address:port`. */
  url: string;
  /** The configuration file that commands edit. */
  file: string;
  /** Runs a command of the command line program on this mesh, as a person would; fails with what it said. */
  command(words: readonly string[]): Promise<{ said: string; running: RunningMesh }>;
  scale?: number;
  /** Whether scenes judge how long something took, which a busy machine decides. Default true. */
  judgeTimes?: boolean;
  /** Milliseconds that proxies get to hand over and log their claims. Default 5,000. */
  claimDeadlineMs?: number;
}

/** Milliseconds after which a request of a scene counts as unanswered. */
const ASK_TIMEOUT_MS = 20_000;

/** What scenes play on: a running mesh, its gateway, its driver and the way to another configuration. */
export class Stage {
  readonly driver: Driver;
  /** `http://address:port` of the gateway, as clients reach it. */
  readonly url: string;
  /** Divides the number of requests of the heavy scenes; 1 = as stated. */
  readonly scale: number;
  readonly judgeTimes: boolean;
  /** Every call made so far has been counted and logged by the proxies. */
  quiet = false;
  readonly claimDeadlineMs: number;
  private current: RunningMesh;
  private readonly options: StageOptions;
  private readonly agents = new Map<string, Agent>();

  constructor(deployment: RunningMesh, options: StageOptions) {
    this.current = deployment;
    this.options = options;
    this.driver = options.driver;
    this.url = options.url;
    this.scale = options.scale ?? 1;
    this.judgeTimes = options.judgeTimes ?? true;
    this.claimDeadlineMs = options.claimDeadlineMs ?? 5_000;
  }

  get deployment(): RunningMesh {
    return this.current;
  }

  get mesh(): Mesh {
    return this.deployment.mesh;
  }

  get laneOf(): LaneOf {
    return laneLookup(this.mesh);
  }

  /** Every proxy that makes calls. */
  get claimants(): Claimant[] {
    return this.deployment.plans.map(({ node: { id, adminSocket, accessLog } }) => ({ id, adminSocket, accessLog }));
  }

  get gatewayId(): string {
    return this.mesh.gateways[0]?.id ?? '';
  }

  /** The service behind the gateway. */
  get entrance(): string {
    return this.mesh.gateways[0]?.routes.at(-1)?.service ?? '';
  }

  async ask(asking: Asking): Promise<Seen> {
    const { method = 'GET', path, headers = {}, body, from } = asking;
    const answer = await this.send(this.url, {
      method,
      path,
      headers,
      ...(body ? { body } : {}),
      ...(from ? { from } : {}),
    });
    const said = Object.entries(headers).map(
      ([name, value]) => `${name}: ${value.length > 40 ? `${value.slice(0, 40)}…` : value}`,
    );
    const hop = hopOf(answer.text);
    const { laneOf } = this;
    const refused = `${this.entrance}!${answer.status}`;
    return {
      ...answer,
      request: [`${method} ${path}`, ...said, ...(from ? [`from ${from}`] : [])].join('  '),
      hop,
      hops: hop ? notation(hop, laneOf) : [refused],
      path: `gateway → ${hop ? picture(hop, laneOf) : refused}`,
      edges: hop ? edges(this.gatewayId, hop, laneOf) : [this.unanswered(answer.status)],
    };
  }

  /** A request as an instance's own application would make it: to its sidecar's outbound listener. */
  async askAs(id: string, service: string, asking: Asking): Promise<Seen> {
    const instance = this.instance(id);
    const { method = 'GET', path, headers = {}, body } = asking;
    const url = `http://${instance.address}:${instance.ports.outbound}`;
    const all = { ...headers, host: service };
    const answer = await this.send(url, { method, path, headers: all, ...(body ? { body } : {}) });
    const hop = hopOf(answer.text);
    const { laneOf } = this;
    return {
      ...answer,
      request: `${id}: ${method} ${service}${path}`,
      hop,
      hops: hop ? notation(hop, laneOf) : [`${service}!${answer.status}`],
      path: `${id} → ${hop ? picture(hop, laneOf) : `✗ ${answer.status}`}`,
      edges: hop ? askedEdges(id, hop, answer.headers, laneOf) : [],
    };
  }

  async command(...words: readonly string[]): Promise<string> {
    const { said, running } = await this.options.command(words);
    this.current = running;
    return said;
  }

  /** Changes the running configuration and waits until every Envoy has it. */
  apply(edit: (config: CausewayConfig) => void): Promise<void> {
    const config = parse(this.current.text) as CausewayConfig;
    edit(config);
    return this.applyText(stringify(config));
  }

  async applyText(text: string): Promise<void> {
    const { file } = this.options;
    await this.current.apply({ file, text, config: parseConfig(text, file) });
    await writeFile(file, text);
  }

  /** Waits until every proxy that calls an instance has it among its endpoints, and healthy. */
  async healthy(id: string, deadlineMs = 15_000): Promise<void> {
    const { address, service } = this.instance(id);
    const calls = calleesByProxy(this.mesh);
    for (const { id: caller, adminSocket } of this.claimants) {
      if (!calls.get(caller)?.includes(service)) continue;
      const look = async () => {
        const seen = (await new EnvoyAdmin(adminSocket).hosts()).filter((host) => host.address === address);
        const sick = seen.find(({ unhealthy }) => unhealthy.length > 0);
        if (sick) return notYet(`${sick.cluster}: ${sick.unhealthy.join(', ')}`);
        return seen.length > 0 ? found(undefined) : notYet('no endpoint');
      };
      await waitUntil(`${caller} sees ${id} healthy`, look, { deadlineMs });
    }
  }

  /** Runs something under a changed configuration and brings the old one back, whatever happens. */
  under(edit: (config: CausewayConfig) => void, work: () => Promise<void>): Promise<void> {
    return this.underEach([{ edit }], work);
  }

  /** The same for several changes in turn, each of the original configuration, which is brought back once, at the end. */
  async underEach<T extends { edit(config: CausewayConfig): void }>(
    changes: readonly T[],
    work: (change: T) => Promise<void>,
  ): Promise<void> {
    const before = this.deployment.text;
    try {
      for (const change of changes) {
        const config = parse(before) as CausewayConfig;
        change.edit(config);
        await this.applyText(stringify(config));
        await work(change);
      }
    } finally {
      await this.applyText(before);
    }
  }

  instance(id: string): Instance {
    const found = findInstance(this.mesh, id);
    if (!found) throw new Error(`no instance ${id}`);
    return found;
  }

  close(): void {
    for (const agent of this.agents.values()) agent.destroy();
  }

  private unanswered(status: number): Edge {
    return { caller: this.gatewayId, service: this.entrance, served: 'none', trace: '', status };
  }

  private send(url: string, asking: Asking): Promise<Pick<Seen, 'status' | 'headers' | 'text'>> {
    const { method = 'GET', path, headers = {}, body, from = '' } = asking;
    const agent = this.agents.get(from) ?? new Agent({ keepAlive: true, ...(from ? { localAddress: from } : {}) });
    this.agents.set(from, agent);
    const { hostname, port } = new URL(url);
    return new Promise((resolve, reject) => {
      const all = {
        accept: 'application/json',
        ...(body ? { 'content-length': String(Buffer.byteLength(body)) } : {}),
        ...headers,
      };
      const signal = AbortSignal.timeout(ASK_TIMEOUT_MS);
      const call = httpRequest({ hostname, port, method, path, headers: all, agent, signal }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('error', reject);
        answer.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text });
        });
      });
      call.on('error', reject);
      call.end(body);
    });
  }
}

/** The evidence in an answer's body; null when no application answered. */
export function hopOf(text: string): Hop | null {
  try {
    const { hop } = JSON.parse(text) as { hop?: unknown };
    return isHop(hop) ? hop : null;
  } catch {
    return null;
  }
}
