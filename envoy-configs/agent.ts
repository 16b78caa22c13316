import { centreSection } from './centre.ts';
import { seconds } from './clusters.ts';
import type { AgentSettings, CentreSettings, JsonObject } from './mesh.ts';

/**
 * The agent: a singleton beside the workers that asks this Envoy's own admin interface. It reaches it by a cluster that no
 * route names; the admin stays a Unix socket in a directory that nobody else can enter. All of it is read at start only.
 */

/** Cluster whose one host is this Envoy's own admin. */
export const ADMIN_CLUSTER = 'causeway.admin';

const TYPE = 'type.googleapis.com/envoy.extensions';

const text = (value: string): JsonObject => ({
  '@type': 'type.googleapis.com/google.protobuf.StringValue',
  value,
});

/** The healing centre, and the cluster that leads to it. */
export interface CentreAccess {
  readonly settings: CentreSettings;
  readonly cluster: JsonObject;
  /** Id of the instance behind this proxy, where the centre may isolate it. */
  readonly instance: string | null;
}

/** What the agent needs of its proxy. */
export interface AgentPlace {
  /** Envoy's address of its own admin interface; see {@link socketFile}. */
  readonly admin: JsonObject;
  /** The module, a file on the proxy. */
  readonly wasmPath: string;
  /** That of the filters, with which it shares data. Default: `causeway`. */
  readonly vmId?: string;
  readonly centre?: CentreAccess | undefined;
}

/** A Unix socket as Envoy's address. */
export function socketFile(path: string): JsonObject {
  return { pipe: { path } };
}

/** Fields of the bootstrap: the singleton and the clusters by which it asks. */
export function agentFields(agent: AgentSettings, place: AgentPlace): JsonObject {
  const { admin, centre } = place;
  return {
    bootstrap_extensions: [agentExtension(agent, place)],
    static_resources: { clusters: [adminCluster(admin), ...(centre ? [centre.cluster] : [])] },
  };
}

function agentExtension(agent: AgentSettings, { wasmPath, vmId = 'causeway', centre }: AgentPlace): JsonObject {
  const configuration = {
    admin: ADMIN_CLUSTER,
    intervalMs: agent.intervalMs,
    mainThreadPercent: agent.mainThreadPercent,
    ...(centre ? { centre: centreSection(centre.settings, centre.instance) } : {}),
  };
  return {
    name: 'envoy.bootstrap.wasm',
    typed_config: {
      '@type': `${TYPE}.wasm.v3.WasmService`,
      singleton: true,
      config: {
        name: 'causeway.agent',
        root_id: 'agent',
        vm_config: {
          // Of the filters too: one shared data. The role makes it a VM of its own.
          vm_id: vmId,
          runtime: 'envoy.wasm.runtime.v8',
          code: { local: { filename: wasmPath } },
          configuration: text('agent'),
        },
        configuration: text(JSON.stringify(configuration)),
      },
    },
  };
}

export function adminCluster(address: JsonObject): JsonObject {
  return {
    name: ADMIN_CLUSTER,
    alt_stat_name: 'causeway_admin',
    type: 'STATIC',
    connect_timeout: seconds(1_000),
    load_assignment: { cluster_name: ADMIN_CLUSTER, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
    // The agent asks for one thing after the other, twice at once at most.
    circuit_breakers: { thresholds: [{ max_connections: 2, max_pending_requests: 4, max_requests: 4 }] },
  };
}

/** How often the overload manager looks: its monitor of CPU smooths by the look, over five seconds at this pace. */
export const OVERLOAD_REFRESH = '0.25s';

/** Of the overload manager: what the agent reads as CPU pressure. No action hangs on it here. */
export function cpuMonitor(agent: AgentSettings): JsonObject {
  return {
    name: 'envoy.resource_monitors.cpu_utilization',
    typed_config: {
      '@type': `${TYPE}.resource_monitors.cpu_utilization.v3.CpuUtilizationConfig`,
      mode: agent.cpu === 'container' ? 'CONTAINER' : 'HOST',
    },
  };
}
