import { TIMEOUT_MS } from './lane-routing.ts';
import type {
  AgentSettings,
  CentreSettings,
  FilterSwitch,
  Gateway,
  Instance,
  JsonObject,
  Lane,
  LbPolicy,
  Limits,
  Mesh,
  RateLimitService,
  Service,
  Trust,
} from './mesh.ts';
import type { Broker, Isolation, Lossless } from './mesh-isolation.ts';
import type { Degradation, Fault, Redirect, Rule, Steering } from './mesh-traffic.ts';
import { resolveMeshTls, resolveServiceTls } from './resolve-tls.ts';
import type { CausewayConfig } from './schema.ts';
import { milliseconds } from './schema-parts.ts';

/** Highest last octet that an instance gets: the rest of each /24 stays free for gateways and helpers. */
export const MAX_INSTANCES_PER_SERVICE = 250;

/** Minor release of Envoy 1 that brought composite clusters. */
const FIRST_WITH_COMPOSITE = 37;

export const DEFAULT_BASELINE = 'base';

export interface ResolveOptions {
  /** Addresses that instances already have, by id: a running instance keeps its own whatever else changes. */
  readonly leases?: Readonly<Record<string, string>>;
  /** Replaces `network.prefix`, for a second mesh on the same machine or for containers. */
  readonly network?: string;
  /** Replaces every gateway's address (`0.0.0.0` in containers). */
  readonly gatewayAddress?: string;
}

/**
 * Fills in defaults and gives every instance its address. The configuration has passed the schema and checks.ts.
 * Deterministic: same configuration and leases, same mesh.
 */
export function resolveMesh(config: CausewayConfig, options: ResolveOptions = {}): Mesh {
  const baseline = config.baseline ?? DEFAULT_BASELINE;
  const prefix = options.network ?? config.network?.prefix ?? '127.0';
  const ports = resolvePorts(config.ports);
  return {
    name: config.mesh,
    tagHeader: config.tag?.header ?? 'x-asm-traffic-lane',
    baseline,
    lanes: Object.entries(config.lanes ?? {}).map(([name, lane]) => resolveLane(name, lane, baseline)),
    services: resolveServices(config, prefix, ports, options.leases ?? {}),
    tls: resolveMeshTls(config.tls),
    gateways: config.gateways.map((gateway) => resolveGateway(gateway, prefix, options)),
    rules: (config.rules ?? []).map((rule) => resolveRule(rule, config)),
    steering: (config.steering ?? []).map(resolveSteering),
    redirects: (config.redirects ?? []).map(resolveRedirect),
    faults: (config.faults ?? []).map(resolveFault),
    priorities: (config.priorities ?? []).map((rule) => ({ class: rule.class, match: rule.match as JsonObject })),
    ratelimit: resolveRateLimit(config.ratelimit),
    trace: { section: (config.trace ?? {}) as JsonObject },
    tracing: { inbound: config.tracing?.inbound ?? null, outbound: config.tracing?.outbound ?? null },
    filters: {
      'lane-tagging': resolveSwitch(config.filters?.['lane-tagging']),
      'trace-propagation': resolveSwitch(config.filters?.['trace-propagation']),
      'lane-fallback': resolveSwitch(config.filters?.['lane-fallback']),
      'adaptive-rate-limit': resolveSwitch(config.filters?.['adaptive-rate-limit']),
      'overload-shedding': resolveSwitch(config.filters?.['overload-shedding']),
      'connection-elimination': resolveSwitch(config.filters?.['connection-elimination']),
      'outlier-blacklist': resolveSwitch(config.filters?.['outlier-blacklist']),
      isolation: resolveSwitch(config.filters?.isolation),
      degradation: resolveSwitch(config.filters?.degradation),
    },
    degradation: resolveDegradation(config.degradation),
    isolation: resolveIsolation(config.isolation),
    lossless: resolveLossless(config.lossless),
    agent: resolveAgent(config.centre === undefined ? config.agent : (config.agent ?? {})),
    centre: resolveCentre(config.centre),
    network: { prefix },
    concurrency: config.concurrency ?? 1,
    composite: config.envoy === undefined || Number(config.envoy.split('.')[1]) >= FIRST_WITH_COMPOSITE,
    report: config.report ?? true,
    drainMs: milliseconds(config.drain ?? '500ms'),
    listenerDrainSeconds: Math.max(1, Math.ceil(milliseconds(config.drain ?? '3s') / 1000)),
  };
}

function resolveDegradation(degradation: CausewayConfig['degradation']): Degradation {
  return {
    drops: (degradation?.drops ?? []).map((rule) => ({ ...rule, from: rule.from ?? [], to: rule.to ?? [] })),
    cuts: (degradation?.cuts ?? []).map((rule) => ({ ...(rule as JsonObject & typeof rule), from: rule.from ?? [] })),
  };
}

function resolveIsolation(isolation: CausewayConfig['isolation']): Isolation | null {
  if (isolation === undefined) return null;
  return {
    drainSeconds: isolation.drainSeconds ?? 30,
    identities: isolation.identities ?? [],
    instances: Object.entries(isolation.instances ?? {}).map(([id, { match }]) => ({
      id,
      match: (match as JsonObject | undefined) ?? null,
    })),
  };
}

function resolveLossless(lossless: CausewayConfig['lossless']): Lossless | null {
  if (lossless === undefined) return null;
  return {
    delaySeconds: lossless.delaySeconds ?? 0,
    warmUpMs: milliseconds(lossless.warmUp ?? '120s'),
    edas: lossless.edas ?? false,
  };
}

function resolveAgent(agent: CausewayConfig['agent']): AgentSettings | null {
  if (agent === undefined || agent.enabled === false) return null;
  return {
    intervalMs: milliseconds(agent.interval ?? '1s'),
    mainThreadPercent: agent.mainThreadPercent ?? 1,
    cpu: agent.cpu ?? 'host',
  };
}

function resolveCentre(centre: CausewayConfig['centre']): CentreSettings | null {
  if (centre === undefined) return null;
  const [address = '', port] = (centre.address ?? '127.0.0.1:7070').split(':');
  return {
    address,
    port: Number(port),
    start: centre.start ?? false,
    credentials: centre.credentials ?? null,
    tls: centre.tls ?? null,
  };
}

type Part<K extends 'lanes' | 'services'> = NonNullable<CausewayConfig[K]>[string];
type Item<K extends 'gateways' | 'rules' | 'steering' | 'redirects' | 'faults'> = NonNullable<
  CausewayConfig[K]
>[number];

function resolveLane(name: string, lane: Part<'lanes'>, baseline: string): Lane {
  const mode = lane.mode ?? 'permissive';
  return { name, mode, chain: lane.chain ?? (mode === 'strict' ? [] : [baseline]) };
}

function resolveGateway(gateway: Item<'gateways'>, prefix: string, options: ResolveOptions): Gateway {
  return {
    id: gateway.name,
    address: options.gatewayAddress ?? gateway.address ?? `${prefix}.0.1`,
    port: gateway.port ?? 8080,
    trust: resolveTrust(gateway.trust),
    exposeLane: gateway.exposeLane ?? false,
    routes: gateway.routes
      .map(({ prefix: pathPrefix, service }) => ({ pathPrefix, service }))
      .sort((a, b) => b.pathPrefix.length - a.pathPrefix.length),
  };
}

function resolveTrust(trust: Item<'gateways'>['trust']): Trust {
  if (trust?.all) return 'all';
  const cidrs = trust?.cidrs ?? [];
  const identities = trust?.identities ?? [];
  return cidrs.length + identities.length === 0 ? 'none' : { cidrs, identities };
}

/** The services at which traffic of a lane may enter. */
export function entrances(config: CausewayConfig): string[] {
  return Object.entries(config.services)
    .filter(([, service]) => service.entrance)
    .map(([name]) => name);
}

function resolveRule(rule: Item<'rules'>, config: CausewayConfig): Rule {
  return {
    name: rule.name,
    at: rule.at ?? 'gateway',
    entrance: rule.entrance ?? entrances(config)[0] ?? '',
    match: rule.match as JsonObject,
    lane: rule.lane,
  };
}

function resolveSteering(rule: Item<'steering'>): Steering {
  return {
    name: rule.name,
    services: rule.services ?? [],
    callers: rule.callers ?? [],
    fromLanes: rule.from ?? [],
    interface: rule.interface ?? '',
    match: (rule.match as JsonObject | undefined) ?? null,
    percent: rule.percent ?? 100,
    to: rule.to.map((target) => ({
      target:
        target.instance !== undefined
          ? { instance: target.instance }
          : { lanes: target.lanes ?? (target.lane === undefined ? [] : [target.lane]) },
      weight: target.weight ?? 1,
    })),
  };
}

function resolveRedirect(rule: Item<'redirects'>): Redirect {
  return {
    name: rule.name,
    service: rule.service,
    fromLanes: rule.from,
    interface: rule.interface ?? '',
    match: (rule.match as JsonObject | undefined) ?? null,
    percent: rule.percent ?? 100,
    to: rule.to,
  };
}

function resolveFault(fault: Item<'faults'>): Fault {
  return {
    name: fault.name,
    lane: fault.lane,
    services: fault.services ?? [],
    percent: fault.percent ?? 100,
    abortStatus: fault.abort ?? 0,
    delayMs: fault.delay === undefined ? 0 : milliseconds(fault.delay),
  };
}

function resolveSwitch(given: { enabled?: boolean; settings?: Record<string, unknown> } | undefined): FilterSwitch {
  return { enabled: given?.enabled ?? true, settings: (given?.settings ?? {}) as JsonObject };
}

type Ports = Omit<Instance['ports'], 'inbound'>;

/** Ports that are the same at every instance. */
export function resolvePorts(given: CausewayConfig['ports']): Ports {
  return { app: given?.app ?? 9081, outbound: given?.outbound ?? 15001, control: given?.control ?? 15015 };
}

function resolveServices(
  config: CausewayConfig,
  prefix: string,
  ports: Ports,
  leases: Readonly<Record<string, string>>,
): Service[] {
  const taken = new Set(Object.values(leases));
  return Object.entries(config.services).map(([name, service], position) => {
    const index = position + 1;
    const port = service.port ?? 9080;
    const check = service.healthCheck;
    const instances = instanceIds(name, service).map(({ id, lane, ordinal, spec }): Instance => {
      const address = leases[id] ?? freeAddress(`${prefix}.${index}`, taken);
      return {
        id,
        service: name,
        lane,
        ordinal,
        version: spec.version ?? 'v1',
        ...(spec.labels === undefined ? {} : { labels: spec.labels }),
        address,
        ports: { ...ports, inbound: port },
        weight: spec.weight ?? 1,
        ...(service.shards === undefined ? {} : { shard: (ordinal - 1) % service.shards }),
        tlsReady: config.tls !== undefined && (spec.tls ?? true),
        env: spec.env ?? {},
        // By lane, not by place in the file: adding a lane must not move the callers of the others to other shards.
        number: ordinal - 1,
      };
    });
    return {
      name,
      index,
      protocol: service.protocol ?? 'http1',
      port,
      entrance: service.entrance ?? false,
      idempotent: service.idempotent ?? false,
      timeoutMs: service.timeout === undefined ? TIMEOUT_MS : milliseconds(service.timeout),
      lb: resolveLb(service.lb),
      healthCheck: {
        path: check?.path ?? '/health',
        intervalMs: milliseconds(check?.interval ?? '250ms'),
        timeoutMs: milliseconds(check?.timeout ?? '500ms'),
        unhealthyThreshold: check?.unhealthyThreshold ?? 2,
        healthyThreshold: check?.healthyThreshold ?? 1,
      },
      interfaces: (service.interfaces ?? []).map((item) => ({
        name: item.name,
        methods: item.methods ?? [],
        template: item.template ?? `${item.prefix ?? '/'}**`,
      })),
      overload: (service.overload as JsonObject | undefined) ?? null,
      limits: resolveLimits(service.limits),
      tls: resolveServiceTls(config.tls, service.tls),
      brokers: (service.brokers ?? []).map(resolveBroker),
      callers: service.callers ?? null,
      jwt: service.jwt === undefined ? null : { ...service.jwt, audiences: service.jwt.audiences ?? [] },
      breaker: (service.breaker as JsonObject | undefined) ?? null,
      calls: service.calls ?? null,
      healing: service.healing ?? false,
      shards: service.shards ?? 0,
      command: service.command ?? [],
      image: service.image ?? '',
      instances,
    };
  });
}

function resolveRateLimit(service: CausewayConfig['ratelimit']): RateLimitService | null {
  if (service === undefined) return null;
  return {
    address: service.address,
    port: service.port ?? 8081,
    timeoutMs: milliseconds(service.timeout ?? '50ms'),
    failClosed: service.unreachable === 'refuse',
  };
}

function resolveLimits(limits: Part<'services'>['limits']): Limits | null {
  if (limits === undefined) return null;
  const { interfaces = {}, cluster = [], ...settings } = limits;
  return {
    interfaces,
    cluster: cluster.map((limit) => ({
      name: limit.name,
      interface: limit.interface ?? '',
      header: limit.by?.header.toLowerCase() ?? '',
      requests: limit.requests,
      unit: limit.unit ?? 'second',
    })),
    settings: settings as JsonObject,
  };
}

function resolveBroker({ name, port, at }: NonNullable<Part<'services'>['brokers']>[number]): Broker {
  const colon = at.lastIndexOf(':');
  return { name, port, host: at.slice(0, colon), hostPort: Number(at.slice(colon + 1)) };
}

/** The ids of a service's instances in file order, each with what the file says about it. */
export function instanceIds(name: string, service: Part<'services'>) {
  return Object.entries(service.instances).flatMap(([lane, spec]) =>
    Array.from({ length: spec.replicas ?? 1 }, (_, at) => ({
      id: `${name}-${lane}-${at + 1}`,
      lane,
      ordinal: at + 1,
      spec,
    })),
  );
}

function freeAddress(block: string, taken: Set<string>): string {
  for (let last = 1; last <= MAX_INSTANCES_PER_SERVICE; last++) {
    const address = `${block}.${last}`;
    if (taken.has(address)) continue;
    taken.add(address);
    return address;
  }
  throw new RangeError(`${block}.0/24: all ${MAX_INSTANCES_PER_SERVICE} instance addresses are taken`);
}

function resolveLb(lb: Part<'services'>['lb']): LbPolicy {
  switch (lb?.policy) {
    case 'ring_hash':
    case 'maglev':
      return { policy: lb.policy, hashHeader: lb.hashHeader ?? '' };
    case 'least_request':
    case 'random':
      return { policy: lb.policy };
    default:
      return { policy: 'round_robin' };
  }
}
