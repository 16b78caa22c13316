import type { LaneInstance, LaneScheme, LaneService } from '../../envoy-configs/clusters.ts';
import { laneScheme, serviceClusters } from '../../envoy-configs/clusters.ts';
import { earlyStrip } from '../../envoy-configs/filters.ts';
import { fallbackBridge, serviceRoutes } from '../../envoy-configs/lane-routing.ts';
import { type HttpFilter, luaFilter, plainRoute, wasmFilter } from './config.ts';
import type { Modules } from './modules.ts';
import { wholeSections } from './whole.ts';

/** The two sides of a sidecar. */
export type Side = 'inbound' | 'outbound';

/** Where a request goes through: one side of a sidecar, or both in a row as one hop of the mesh. */
export type Profile = Side | 'hop';

/** What stands in a chain: the filters of each side, and how calls leave on the outbound side. */
export interface Variant {
  readonly name: string;
  readonly inbound: readonly HttpFilter[];
  readonly outbound: readonly HttpFilter[];
  /** Outbound through the mesh's own routes and clusters instead of one plain route and cluster. */
  readonly lanes: boolean;
  /** The callee's load balancer takes the hosts that outlier-blacklist names. */
  readonly healing?: boolean;
  /** The outbound side knows a tag only after the inbound side has seen it. */
  readonly learns: boolean;
  /** Where it is measured. */
  readonly profiles: readonly Profile[];
}

/** Names of the variants that figures refer to. */
export const NAMES = {
  none: 'no filter',
  floor: 'empty wasm (floor)',
  tagging: 'lane-tagging',
  lua: 'stock Lua tagging',
  trace: 'trace-propagation',
  rust: 'Rust SDK peer',
  fallback: 'lane-fallback',
  fused: 'fused suite',
  whole: 'whole suite',
} as const;

export const SERVICE = 'reviews';
export const AUTHORITY = `${SERVICE}:9080`;
export const BASELINE = 'base';
export const TAG_HEADER = 'x-asm-traffic-lane';

/** Rules of an entrance service's caller: by header, by cookie, by path; the load matches the second. */
export const RULES = [
  { name: 'testers', lane: 'dev2', match: { header: { name: 'x-team', exact: 'testers' } } },
  { name: 'dev1', lane: 'dev1', match: { header: { name: 'end-user', exact: 'dev1' } } },
  { name: 'preview', lane: 'dev2', match: { path: { prefix: '/preview/' } } },
];

/** The same three rules as people write them in a stock Lua filter. */
const LUA_RULES = `
function envoy_on_request(handle)
  local headers = handle:headers()
  headers:remove('${TAG_HEADER}')
  local lane
  if headers:get('x-team') == 'testers' then lane = 'dev2'
  elseif headers:get('end-user') == 'dev1' then lane = 'dev1'
  elseif string.sub(headers:get(':path'), 1, 9) == '/preview/' then lane = 'dev2'
  end
  if lane then headers:add('${TAG_HEADER}', lane) end
end
`;

/** The lanes that exist beside the baseline, and the instances of the callee. */
export interface MeshSize {
  readonly lanes: readonly string[];
  /** Instances of the baseline. */
  readonly instances: number;
}

export const SMALL: MeshSize = { lanes: ['dev1', 'dev2'], instances: 2 };

/** Sections of the suite's configuration; each is also what its filter gets alone. */
export function sections(side: Side, size: MeshSize): Record<string, Record<string, unknown>> {
  const propagation = { 'trace-propagation': { direction: side, tagHeader: TAG_HEADER } };
  if (side === 'inbound') return propagation;
  return {
    ...propagation,
    'lane-tagging': { tagHeader: TAG_HEADER, trust: 'all', rules: RULES },
    'lane-fallback': {
      direction: side,
      tagHeader: TAG_HEADER,
      baseline: BASELINE,
      stages: scheme(size).stages,
      lanes: size.lanes.map((name) => ({ name, chain: [BASELINE] })),
      services: [{ name: SERVICE, authorities: [SERVICE, AUTHORITY] }],
    },
  };
}

function scheme(size: MeshSize): LaneScheme {
  const lanes = size.lanes.map((name) => ({ name, mode: 'permissive' as const, chain: [BASELINE] }));
  return laneScheme({ baseline: BASELINE, lanes, steering: [] });
}

/** Loopback address of the n-th host, from 0; every one of them reaches the same upstream. */
export function hostAddress(n: number): string {
  return `127.1.${n >> 8}.${n & 255}`;
}

function service(size: MeshSize, port: number, healing = false): LaneService {
  const lanes = [...size.lanes, ...Array.from({ length: size.instances }, () => BASELINE)];
  const instances: LaneInstance[] = lanes.map((lane, n) => ({
    id: `${SERVICE}-${lane}-${n}`,
    address: hostAddress(n),
    lane,
    weight: 1,
    ports: { inbound: port },
  }));
  return {
    name: SERVICE,
    protocol: 'http1',
    idempotent: false,
    lb: { policy: 'round_robin' },
    healthCheck: { path: '/', intervalMs: 600_000, timeoutMs: 1_000, unhealthyThreshold: 2, healthyThreshold: 1 },
    shards: 0,
    healing,
    instances,
  };
}

/**
 * Clusters of the callee, reached on `port`; renamed so that several meshes of the rig fit into one Envoy. Without active
 * health checks: they are Envoy's own work, not the filters', and none shall fall into a run.
 */
export function laneClusters(name: string, size: MeshSize, port: number, healing = false): object[] {
  return serviceClusters({ ...service(size, port, healing), name }, scheme(size)).map(
    ({ health_checks: _, ...cluster }) => cluster,
  );
}

/** The mesh's routes to the callee. */
export function laneRoutes(name: string, size: MeshSize): object[] {
  return serviceRoutes({ ...service(size, 1), name }, scheme(size));
}

export function outboundRoutes(variant: Variant, cluster: string, size: MeshSize): readonly object[] {
  return variant.lanes ? laneRoutes(cluster, size) : [plainRoute(cluster)];
}

/** Chain of the shipped suite in one place of the mesh, stock filters included, as the builders render it. */
export function fusedChain(side: Side, modules: Modules, vmId: string, size: MeshSize): HttpFilter[] {
  const configuration = sections(side, size);
  const suite = wasmFilter({ file: modules.suite, rootId: 'causeway', vmId, role: side, configuration });
  return [earlyStrip(side), suite, ...(side === 'outbound' ? [fallbackBridge()] : [])];
}

/** The same with every filter of the suite: limits, shedding, degradation, blacklist, TLS switchover and isolation as well. */
function wholeChain(side: Side, modules: Modules, size: MeshSize, port: number): HttpFilter[] {
  const hosts = service(size, port).instances.map(({ address, lane }) => ({ address, port, lane }));
  const { lanes } = size;
  const configuration = wholeSections(side, { callee: SERVICE, baseline: BASELINE, lanes, rules: RULES, hosts });
  const suite = wasmFilter({ file: modules.suite, rootId: 'causeway', vmId: 'whole', role: side, configuration });
  return [earlyStrip(side), suite, ...(side === 'outbound' ? [fallbackBridge()] : [])];
}

function alone(filter: string, side: Side, modules: Modules, size: MeshSize): HttpFilter {
  const configuration = sections(side, size)[filter] ?? {};
  return wasmFilter({ file: modules.suite, rootId: filter, vmId: filter, role: side, configuration });
}

/** Everything that is compared, in the order of the table. */
export function variants(modules: Modules, port: number, size: MeshSize = SMALL): Variant[] {
  const floor = (side: Side): HttpFilter[] => [
    wasmFilter({ file: modules.empty, rootId: 'empty', vmId: 'empty', role: side, configuration: {} }),
  ];
  const rust = (side: Side): HttpFilter[] =>
    modules.rust === null
      ? []
      : [
          wasmFilter({
            file: modules.rust,
            rootId: 'peer',
            vmId: 'rust',
            role: side,
            configuration: { direction: side },
          }),
        ];
  const everywhere = { lanes: false, learns: false, profiles: ['inbound', 'outbound', 'hop'] as const };
  const outboundOnly = { inbound: [], lanes: false, learns: false, profiles: ['outbound'] as const };
  const peer: Variant = {
    ...everywhere,
    name: NAMES.rust,
    inbound: rust('inbound'),
    outbound: rust('outbound'),
    learns: true,
  };
  return [
    { ...everywhere, name: NAMES.none, inbound: [], outbound: [] },
    { ...everywhere, name: NAMES.floor, inbound: floor('inbound'), outbound: floor('outbound') },
    {
      ...everywhere,
      name: 'stock strip and bridge',
      inbound: [earlyStrip('inbound')],
      outbound: [earlyStrip('outbound'), fallbackBridge()],
      profiles: ['inbound', 'outbound'],
    },
    { ...outboundOnly, name: 'stock lane routing', outbound: [], lanes: true },
    { ...outboundOnly, name: NAMES.tagging, outbound: [alone('lane-tagging', 'outbound', modules, size)] },
    { ...outboundOnly, name: NAMES.lua, outbound: [luaFilter(LUA_RULES)] },
    {
      ...everywhere,
      name: NAMES.trace,
      inbound: [alone('trace-propagation', 'inbound', modules, size)],
      outbound: [alone('trace-propagation', 'outbound', modules, size)],
      learns: true,
    },
    ...(modules.rust === null ? [] : [peer]),
    {
      ...outboundOnly,
      name: NAMES.fallback,
      outbound: [alone('lane-fallback', 'outbound', modules, size), fallbackBridge()],
      lanes: true,
    },
    {
      ...everywhere,
      name: NAMES.fused,
      inbound: fusedChain('inbound', modules, 'fused', size),
      outbound: fusedChain('outbound', modules, 'fused', size),
      lanes: true,
      learns: true,
    },
    {
      name: NAMES.whole,
      inbound: wholeChain('inbound', modules, size, port),
      outbound: wholeChain('outbound', modules, size, port),
      lanes: true,
      healing: true,
      learns: true,
      profiles: ['inbound', 'outbound'],
    },
  ];
}
