import type { Broker, Isolation, Lossless } from './mesh-isolation.ts';
import type { Degradation, Fault, Priority, Redirect, Rule, Steering } from './mesh-traffic.ts';

/**
 * The resolved model of one mesh: what `causeway.yaml` means once every default is filled in and every instance has its
 * address. Builders of Envoy configurations, drivers, the demo and the tests read this and never the YAML.
 *
 * Everything here is plain, immutable data that survives `JSON.stringify`. Names are unique in their list; every name
 * that refers to something (a lane, a service, an instance) has been checked to exist.
 */

/** JSON as it is written into files and Envoy `Struct`s. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

/** What the application speaks: `grpc` is `http2` plus gRPC statuses and retry conditions. */
export type Protocol = 'http1' | 'http2' | 'grpc';

/** `strict`: 503 without a usable instance. `permissive`: the chain is walked. */
export type LaneMode = 'strict' | 'permissive';

export interface Lane {
  /** Also the value of the tag header and of the endpoint label. */
  readonly name: string;
  readonly mode: LaneMode;
  /**
   * Lanes to try in order after this one, without the lane itself. A permissive lane's chain ends in the baseline unless
   * the configuration says otherwise; a strict lane's is empty. Acyclic by construction: it is a flat list.
   */
  readonly chain: readonly string[];
}

export type LbPolicy =
  | { readonly policy: 'round_robin' | 'least_request' | 'random' }
  | { readonly policy: 'ring_hash' | 'maglev'; readonly hashHeader: string };

export interface HealthCheck {
  readonly path: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly unhealthyThreshold: number;
  readonly healthyThreshold: number;
}

/** A named part of a service's API, by which steering, redirects and limits can choose. */
export interface ServiceInterface {
  readonly name: string;
  /** Empty = all. */
  readonly methods: readonly string[];
  /** Route template: `{name}` is one segment, `**` at the end any rest. A path prefix is a template of its own: `/api**`. */
  readonly template: string;
}

/** One running copy of a service with its own sidecar. */
export interface Instance {
  /** `<service>-<lane>-<n>`, unique in the mesh; also the sidecar's node id and the value of the `instance` label. */
  readonly id: string;
  readonly service: string;
  readonly lane: string;
  /** 1-based within (service, lane). */
  readonly ordinal: number;
  readonly version: string;
  /** Kubernetes labels that tell this lane's Pods from the service's others; absent = the label of the lane. */
  readonly labels?: Readonly<Record<string, string>>;
  /** IPv4; the app, its sidecar's inbound and outbound listeners all live here. */
  readonly address: string;
  readonly ports: InstancePorts;
  /** Relative load-balancing weight, 1–1000. */
  readonly weight: number;
  /** Position among the instances of its service and lane, from 0; modulo a callee's shards it is the shard this one calls. */
  readonly number: number;
  /** Present when the service is sharded: 0 … shards-1. */
  readonly shard?: number;
  /** Its sidecar takes TLS. */
  readonly tlsReady: boolean;
  /** For the application's process. */
  readonly env: Readonly<Record<string, string>>;
}

export interface InstancePorts {
  /** The application; only its own sidecar calls it. */
  readonly app: number;
  /** The sidecar's inbound listener: the service's port as the mesh sees it. */
  readonly inbound: number;
  /** The sidecar's outbound listener: the app sends its calls here with the callee in `Host`. */
  readonly outbound: number;
  /** On loopback: orders to go offline, and diagnosis of an isolated instance. */
  readonly control: number;
}

export interface Service {
  readonly name: string;
  /** 1-based position that also gives the third octet of its instances' addresses. */
  readonly index: number;
  readonly protocol: Protocol;
  /** The port callers name: `Host: <name>:<port>` (or `<name>` alone). */
  readonly port: number;
  /** Traffic of a lane may enter here, so a tag may be created on calls to it. */
  readonly entrance: boolean;
  /** 5xx of this service may be retried for any method, not only GET/HEAD/OPTIONS. */
  readonly idempotent: boolean;
  /** A whole request with all its tries, until its answer has ended; 0 = no bound. */
  readonly timeoutMs: number;
  readonly lb: LbPolicy;
  readonly healthCheck: HealthCheck;
  readonly interfaces: readonly ServiceInterface[];
  /** Settings of its instances' overload protection, as the filter's schema words them; null = unprotected. */
  readonly overload: JsonObject | null;
  /** Null = none. */
  readonly limits: Limits | null;
  /** Null = plaintext, and the mesh renders nothing of TLS for it. */
  readonly tls: ServiceTls | null;
  readonly brokers: readonly Broker[];
  /** Names of the only services and gateways that may call; null = everybody. */
  readonly callers: readonly string[] | null;
  /** The token that calls need; null = none. */
  readonly jwt: JwtRequirement | null;
  /** Settings of the breakers that its callers have, in the words of `degradation`; null = none. */
  readonly breaker: JsonObject | null;
  /** Services that this one calls: its sidecars know no others. Null = all. */
  readonly calls: readonly string[] | null;
  /** Callers keep requests away from its instances that fail. */
  readonly healing: boolean;
  /** Number of shards; 0 = not sharded. */
  readonly shards: number;
  /** How the process driver starts the application: `bookinfo` services by name, or any command. */
  readonly command: readonly string[];
  /** Image of the compose driver; empty = the services' image that the compose file builds. */
  readonly image: string;
  readonly instances: readonly Instance[];
  /** Further `Host` values by which callers may name it. */
  readonly aliases?: readonly string[];
}

/** Requests per second that each instance of a service takes. */
export interface Limits {
  /** By name of an interface. */
  readonly interfaces: Readonly<Record<string, number>>;
  /** What all instances share, counted by the rate-limit service. */
  readonly cluster: readonly ClusterLimit[];
  /** All else, in the words of `adaptive-rate-limit`. */
  readonly settings: JsonObject;
}

/** A limit that all instances of a service share. */
export interface ClusterLimit {
  readonly name: string;
  /** Empty = all requests. */
  readonly interface: string;
  /** Request header each value of which is limited for itself; empty = none. */
  readonly header: string;
  /** So many in each unit of the clock. */
  readonly requests: number;
  readonly unit: 'second' | 'minute' | 'hour' | 'day';
}

/** Where the reference rate-limit service is, and what holds without its answer. */
export interface RateLimitService {
  readonly address: string;
  readonly port: number;
  readonly timeoutMs: number;
  /** Without an answer requests are refused. */
  readonly failClosed: boolean;
}

/** How callers reach a service that can be called by TLS. */
export interface ServiceTls {
  readonly mode: 'off' | 'canary' | 'on';
  /** Share of the traces (one pool: of the instances) of a canary, 0–100. */
  readonly percent: number;
  readonly pools: 'two' | 'one';
  /** The instances take plaintext, too. */
  readonly acceptsPlain: boolean;
  /** The plain clusters check their hosts: as long as something may still be sent by them. */
  readonly plainChecks: boolean;
  readonly idleTimeoutMs: number;
}

export interface JwtRequirement {
  readonly issuer: string;
  /** Empty = any. */
  readonly audiences: readonly string[];
  /** Absolute path of the key set. */
  readonly jwks: string;
}

/** What TLS has in common in a mesh. */
export interface MeshTls {
  /** Servers ask for a certificate of this mesh. */
  readonly mutual: boolean;
  /** Of a certificate, milliseconds. */
  readonly lifetimeMs: number;
  readonly returnSeconds: number;
}

/** Whose incoming tag is believed at an edge: nobody's, these addresses' and mTLS identities', or everybody's. */
export type Trust = 'none' | 'all' | { readonly cidrs: readonly string[]; readonly identities: readonly string[] };

export interface GatewayRoute {
  readonly pathPrefix: string;
  readonly service: string;
}

export interface Gateway {
  /** Also the Envoy's node id. */
  readonly id: string;
  readonly address: string;
  readonly port: number;
  readonly trust: Trust;
  /** Tell the client in a response header which lane served; never meant for production edges. */
  readonly exposeLane: boolean;
  /** Longest prefix first. */
  readonly routes: readonly GatewayRoute[];
}

/** Settings of the trace-propagation filter, as its own schema words them. */
export interface TraceSettings {
  readonly section: JsonObject;
}

export interface FilterSwitch {
  readonly enabled: boolean;
  /** Merged over the section that the mesh renders for this filter; for settings the model has no word for. */
  readonly settings: JsonObject;
}

export interface FilterSwitches {
  readonly 'lane-tagging': FilterSwitch;
  readonly 'trace-propagation': FilterSwitch;
  readonly 'lane-fallback': FilterSwitch;
  readonly 'overload-shedding': FilterSwitch;
  readonly 'adaptive-rate-limit': FilterSwitch;
  readonly 'connection-elimination': FilterSwitch;
  readonly 'outlier-blacklist': FilterSwitch;
  readonly isolation: FilterSwitch;
  readonly degradation: FilterSwitch;
}

/** The singleton that asks Envoy's own admin. */
export interface AgentSettings {
  /** Shortest time between two polls, 100–60,000. */
  readonly intervalMs: number;
  /** Share of the main thread, 0.1–50. */
  readonly mainThreadPercent: number;
  /** Whose CPU utilisation is the pressure. */
  readonly cpu: 'host' | 'container';
}

/** The healing centre, as agents reach it. */
export interface CentreSettings {
  readonly address: string;
  readonly port: number;
  /** `causeway up` runs it. */
  readonly start: boolean;
  /** Folder of the proxies' tokens; null = made by `causeway up`, one in each proxy's own folder of secrets. */
  readonly credentials: string | null;
  readonly tls: { readonly ca: string; readonly name: string } | null;
}

export interface Network {
  /** First two octets of every instance's address: `127.0` for processes, a subnet's for compose. */
  readonly prefix: string;
}

/** Request tracing percentages (0–100) of Envoy's connection managers; null = no tracing configured. */
export interface Tracing {
  readonly inbound: number | null;
  readonly outbound: number | null;
}

export interface Mesh {
  readonly name: string;
  readonly tagHeader: string;
  /** Name of the lane that is complete; untagged requests want it. */
  readonly baseline: string;
  /** All lanes but the baseline, in file order. */
  readonly lanes: readonly Lane[];
  readonly services: readonly Service[];
  readonly gateways: readonly Gateway[];
  /** Null = no proxy has a certificate. */
  readonly tls: MeshTls | null;
  readonly rules: readonly Rule[];
  readonly steering: readonly Steering[];
  readonly redirects: readonly Redirect[];
  readonly faults: readonly Fault[];
  readonly priorities: readonly Priority[];
  /** Null = no limits but those of each instance. */
  readonly ratelimit: RateLimitService | null;
  readonly trace: TraceSettings;
  readonly tracing: Tracing;
  readonly filters: FilterSwitches;
  readonly degradation: Degradation;
  /** Null = no instance can be isolated. */
  readonly isolation: Isolation | null;
  /** Null = instances come and go by health checks alone. */
  readonly lossless: Lossless | null;
  /** Null = no agent. */
  readonly agent: AgentSettings | null;
  /** Null = each proxy judges for itself. */
  readonly centre: CentreSettings | null;
  readonly network: Network;
  /** Envoy worker threads per proxy. */
  readonly concurrency: number;
  /** Whether every Envoy of the mesh knows composite clusters. */
  readonly composite: boolean;
  /** Put wanted/served lane on responses inside the mesh (gateways strip it from outsiders). */
  readonly report: boolean;
  /** How long a removed instance may finish what it has, after everybody has stopped calling it. */
  readonly drainMs: number;
  /**
   * How long connections of a replaced listener may live on, with the old settings: each answer asks its client to leave, and
   * at the end they are closed. Listeners change seldom (listeners.ts), and `apply` waits for it.
   */
  readonly listenerDrainSeconds: number;
  /**
   * The mesh without the suite, as an uninstall leaves it, and what comes before: `unfiltered`, no wasm filter stands in a
   * chain of a role; `prepared`, plain clusters stand beside the suite's, too; `routed`, listeners and routes are plain;
   * `only`, nothing else is left. Absent = the suite.
   */
  readonly plain?: 'unfiltered' | 'prepared' | 'routed' | 'only';
}

/** Finds an instance by id; undefined when there is none. */
export function findInstance(mesh: Mesh, id: string): Instance | undefined {
  for (const service of mesh.services) {
    const found = service.instances.find((instance) => instance.id === id);
    if (found) return found;
  }
  return undefined;
}

/** All instances in service, then file order. */
export function allInstances(mesh: Mesh): readonly Instance[] {
  return mesh.services.flatMap((service) => service.instances);
}

/** The ordered lanes that a request with this tag may be served by; `[]` is never returned. */
export function laneChain(mesh: Mesh, tag: string): readonly string[] {
  const lane = mesh.lanes.find((candidate) => candidate.name === tag);
  return lane ? [lane.name, ...lane.chain] : [mesh.baseline];
}

/** The `Host` values by which callers may name a service. */
export function authorities(service: Service): readonly string[] {
  return [service.name, `${service.name}:${service.port}`, ...(service.aliases ?? [])];
}

/** Services that instances of a service may call. */
export function calleesOf(mesh: Mesh, service: Service): readonly Service[] {
  return service.calls === null
    ? mesh.services.filter(({ name }) => name !== service.name)
    : mesh.services.filter(({ name }) => service.calls?.includes(name));
}

/** Every proxy that makes calls, by id, with the names of the services that it calls, each once. */
export function calleesByProxy(mesh: Mesh): ReadonlyMap<string, readonly string[]> {
  return new Map([
    ...mesh.gateways.map(({ id, routes }) => [id, [...new Set(routes.map(({ service }) => service))]] as const),
    ...mesh.services.flatMap((service) => {
      const names = calleesOf(mesh, service).map(({ name }) => name);
      return service.instances.map(({ id }) => [id, names] as const);
    }),
  ]);
}
