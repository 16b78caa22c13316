import {
  ADMIN_CLUSTER,
  adminCluster,
  agentFields,
  type CentreAccess,
  cpuMonitor,
  OVERLOAD_REFRESH,
  socketFile,
} from './agent.ts';
import { centreCluster } from './centre.ts';
import { findInstance, type JsonObject, type Mesh } from './mesh.ts';
import type { RenderTarget } from './rendered.ts';
import { statsConfig } from './stats.ts';
import { secretsFolder } from './tls.ts';
import { fileSource, PATHS } from './xds.ts';

export interface BootstrapNode {
  readonly id: string;
  /** Service name, or the gateway's id; Envoy's `node.cluster`. */
  readonly cluster: string;
  /** For CEL, access logs and `xds.node.metadata`. */
  readonly metadata: JsonObject;
  /** Source address of everything this proxy calls, by which callees know it; empty = the kernel's choice. */
  readonly sourceAddress: string;
}

const MAX_HEAP_BYTES = 1024 * 1024 * 1024;
const MAX_DOWNSTREAM_CONNECTIONS = 50_000;

/**
 * What Envoy reads once, at start. Everything that may change later comes through the files that `dynamic_resources` names.
 * The admin interface is a Unix socket in a directory of mode 0700: no proxied request, whatever its headers, can reach it.
 */
export function bootstrap(mesh: Mesh, node: BootstrapNode, target: RenderTarget): JsonObject {
  const dir = target.nodeDir(node.id);
  return {
    node: { id: node.id, cluster: node.cluster, metadata: { mesh: mesh.name, ...node.metadata } },
    ...common(mesh, node, target.adminSocket(node.id)),
    ...(mesh.agent
      ? agentFields(mesh.agent, {
          admin: socketFile(target.adminSocket(node.id)),
          wasmPath: target.agentWasmPath ?? target.wasmPath,
          centre: centreOf(mesh, node, target),
        })
      : {}),
    dynamic_resources: {
      lds_config: fileSource(dir, PATHS.listeners),
      cds_config: fileSource(dir, PATHS.clusters),
    },
  };
}

function centreOf(mesh: Mesh, { id }: BootstrapNode, target: RenderTarget): CentreAccess | undefined {
  const { centre: settings } = mesh;
  if (settings === null) return undefined;
  return {
    settings,
    cluster: centreCluster(settings, id, secretsFolder(target.nodeDir(id)), mesh.tls !== null),
    instance: mesh.isolation !== null && findInstance(mesh, id) ? id : null,
  };
}

function common(mesh: Mesh, node: BootstrapNode, adminSocket: string): JsonObject {
  return {
    admin: { address: { pipe: { path: adminSocket, mode: 0o600 } } },
    stats_config: statsConfig(),
    cluster_manager: {
      // A connection that cannot even be attempted counts as a failed host, not as a failed request of the host.
      outlier_detection: {},
      ...(node.sourceAddress === ''
        ? {}
        : { upstream_bind_config: { source_address: { address: node.sourceAddress, port_value: 0 } } }),
    },
    // A worker in an endless loop ignores SIGTERM and serves nothing: better to end and be restarted. Long enough that a
    // paused or swapped-out machine does not trip it.
    watchdogs: {
      main_thread_watchdog: { miss_timeout: '0.5s', megamiss_timeout: '5s', kill_timeout: '60s' },
      worker_watchdog: { miss_timeout: '0.5s', megamiss_timeout: '5s', kill_timeout: '60s' },
    },
    overload_manager: {
      refresh_interval: OVERLOAD_REFRESH,
      resource_monitors: [
        {
          name: 'envoy.resource_monitors.fixed_heap',
          typed_config: {
            '@type': 'type.googleapis.com/envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig',
            max_heap_size_bytes: MAX_HEAP_BYTES,
          },
        },
        {
          name: 'envoy.resource_monitors.global_downstream_max_connections',
          typed_config: {
            '@type':
              'type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig',
            max_active_downstream_connections: MAX_DOWNSTREAM_CONNECTIONS,
          },
        },
        ...(mesh.agent ? [cpuMonitor(mesh.agent)] : []),
      ],
      actions: [
        { name: 'envoy.overload_actions.shrink_heap', triggers: [trigger(0.9)] },
        { name: 'envoy.overload_actions.stop_accepting_requests', triggers: [trigger(0.98)] },
      ],
    },
  };
}

function trigger(value: number): JsonObject {
  return { name: 'envoy.resource_monitors.fixed_heap', threshold: { value } };
}

/**
 * The same node with nothing left to files: what `envoy --mode validate` can judge, since in that mode Envoy does not
 * follow `dynamic_resources`. Endpoints are inlined, filters that come by ECDS stand in the chain.
 */
export function staticBootstrap(
  dynamic: JsonObject,
  adminSocket: string,
  listeners: readonly JsonObject[],
  clusters: readonly JsonObject[],
): JsonObject {
  const { dynamic_resources: _, ...rest } = dynamic;
  return {
    ...rest,
    admin: { address: { pipe: { path: adminSocket, mode: 0o600 } } },
    static_resources: { listeners, clusters: [...agentClusters(dynamic, adminSocket), ...clusters] },
  };
}

/** The agent's own clusters, of which one leads to the admin, wherever that is. */
function agentClusters(dynamic: JsonObject, adminSocket: string): JsonObject[] {
  const { clusters = [] } = (dynamic.static_resources ?? {}) as { clusters?: readonly JsonObject[] };
  return clusters.map((cluster) => (cluster.name === ADMIN_CLUSTER ? adminCluster(socketFile(adminSocket)) : cluster));
}
