import { ADMIN_CLUSTER, adminCluster, socketFile } from '../../envoy-configs/agent.ts';
import { OVERRIDE_FILE } from '../../envoy-configs/istio/bootstrap.ts';
import type { IstioOptions } from '../../envoy-configs/istio/options.ts';
import type { IstioFile } from '../../envoy-configs/istio/render.ts';
import type { Gateway, Instance, JsonObject, Mesh, Service } from '../../envoy-configs/mesh.ts';
import type { RenderedNode, RenderTarget } from '../../envoy-configs/rendered.ts';
import { type NodePlan, planOf } from '../../harness/drivers/driver.ts';
import { podLabels } from './workloads.ts';

/**
 * Stock Envoys that take everything from Istio by ADS. What istio-agent does for a Pod is done here: the node's identity, and
 * the override of the bootstrap, which no xDS carries, on Envoy's command line.
 */

const ISTIO_VERSION = '1.31.0';

export function istioPlans(
  mesh: Mesh,
  istio: IstioOptions,
  rendered: readonly IstioFile[],
  target: RenderTarget,
  xds: string,
): NodePlan[] {
  const override = overrideOf(rendered, istio.namespace);
  const gateways = mesh.gateways.map((gateway) =>
    node(mesh, target, gateway.id, 'gateway', override, xds, {
      id: `router~${gateway.address}~${gateway.id}.${istio.gatewayNamespace}~${istio.gatewayNamespace}.svc.${istio.domain}`,
      source: gateway.address,
      namespace: istio.gatewayNamespace,
      labels: { ...istio.gatewaySelector },
      listeners: [`${gateway.address}:${gateway.port}`],
    }),
  );
  const sidecars = mesh.services.flatMap((service) =>
    service.instances.map((instance) => sidecarNode(mesh, service, instance, istio, target, override, xds)),
  );
  return planOf(mesh, [...gateways, ...sidecars]);
}

function sidecarNode(
  mesh: Mesh,
  service: Service,
  instance: Instance,
  istio: IstioOptions,
  target: RenderTarget,
  override: string,
  xds: string,
): RenderedNode {
  const { id, address, ports } = instance;
  return node(mesh, target, id, 'sidecar', override, xds, {
    id: `sidecar~${address}~${id}.${istio.namespace}~${istio.namespace}.svc.${istio.domain}`,
    source: address,
    namespace: istio.namespace,
    labels: podLabels(service, instance, istio),
    listeners: [`${address}:${ports.inbound}`, `${address}:${ports.outbound}`],
  });
}

interface Identity {
  readonly id: string;
  readonly source: Gateway['address'];
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly listeners: readonly string[];
}

function node(
  mesh: Mesh,
  target: RenderTarget,
  id: string,
  kind: RenderedNode['kind'],
  override: string,
  xds: string,
  identity: Identity,
): RenderedNode {
  const dir = target.nodeDir(id);
  const adminSocket = target.adminSocket(id);
  const bootstrap = bootstrapOf(identity, adminSocket, xds);
  return {
    id,
    kind,
    dir,
    secrets: null,
    files: { 'bootstrap.json': `${JSON.stringify(bootstrap, null, 2)}\n` },
    bootstrap: 'bootstrap.json',
    adminSocket,
    accessLog: target.accessLog(id),
    concurrency: mesh.concurrency,
    // As istio-agent starts Envoy, which gives connections 45 s.
    args: ['--config-yaml', withAdmin(override, adminSocket), '--drain-strategy', 'immediate', '--drain-time-s', '1'],
    listeners: identity.listeners,
  };
}

/** Statistics that a proxy has: those of Istio's own bootstrap, and what the rig waits for. */
const COUNTED: readonly JsonObject[] = [
  ...[
    'reporter=',
    'cluster_manager',
    'listener_manager',
    'server',
    'cluster.xds-grpc',
    'wasm',
    'component',
    'istio',
  ].map((prefix) => ({ prefix })),
  ...['rbac.allowed', 'rbac.denied', 'shadow_allowed', 'shadow_denied'].map((suffix) => ({ suffix })),
  ...['update_success', 'update_rejected', 'config_reload', 'config_fail'].map((suffix) => ({ suffix })),
];

function bootstrapOf(identity: Identity, adminSocket: string, xds: string): JsonObject {
  const [address = '', port = ''] = xds.split(':');
  const ads = { ads: {}, resource_api_version: 'V3' };
  return {
    node: {
      id: identity.id,
      cluster: identity.labels.app ?? 'gateway',
      metadata: {
        NAMESPACE: identity.namespace,
        LABELS: identity.labels,
        CLUSTER_ID: 'Kubernetes',
        ISTIO_VERSION,
        INTERCEPTION_MODE: 'NONE',
      },
    },
    admin: { address: { pipe: { path: adminSocket, mode: 0o600 } } },
    stats_config: { stats_matcher: { inclusion_list: { patterns: COUNTED } } },
    // As Istio writes it where a proxy's connections are bounded.
    overload_manager: {
      resource_monitors: [
        {
          name: 'envoy.resource_monitors.global_downstream_max_connections',
          typed_config: {
            '@type':
              'type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig',
            max_active_downstream_connections: 2_147_483_645,
          },
        },
      ],
    },
    cluster_manager: {
      outlier_detection: {},
      upstream_bind_config: { source_address: { address: identity.source, port_value: 0 } },
    },
    dynamic_resources: {
      ads_config: {
        api_type: 'GRPC',
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: 'xds-grpc' } }],
      },
      lds_config: ads,
      cds_config: ads,
    },
    static_resources: {
      clusters: [
        {
          name: 'xds-grpc',
          type: 'STATIC',
          connect_timeout: '1s',
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
              '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
          load_assignment: {
            cluster_name: 'xds-grpc',
            endpoints: [
              {
                lb_endpoints: [{ endpoint: { address: { socket_address: { address, port_value: Number(port) } } } }],
              },
            ],
          },
        },
      ],
    },
  };
}

/** All Pods are one network here, so the admin interface of each is a socket of its own; the rest is as rendered. */
function withAdmin(override: string, adminSocket: string): string {
  return JSON.stringify(JSON.parse(override), (key, value: unknown) =>
    key === 'clusters' && Array.isArray(value)
      ? value.map((cluster) => (cluster.name === ADMIN_CLUSTER ? adminCluster(socketFile(adminSocket)) : cluster))
      : value,
  );
}

/** The override that Pods of a namespace name in their annotation. */
function overrideOf(rendered: readonly IstioFile[], namespace: string): string {
  const maps = rendered.flatMap(({ configMaps = [] }) => configMaps);
  const text = maps.find(({ metadata }) => metadata.namespace === namespace)?.data[OVERRIDE_FILE];
  if (text === undefined) throw new Error(`no override of the bootstrap for namespace ${namespace}`);
  return text;
}
