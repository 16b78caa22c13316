import type { Instance, JsonObject } from '../../envoy-configs/mesh.ts';
import type { RenderedNode, RenderTarget } from '../../envoy-configs/rendered.ts';
import type { NodePlan } from '../../harness/drivers/driver.ts';

/**
 * Two Bookinfo instances behind plain sidecars and a gateway, without any filter of ours: what the drivers are tested
 * with, so that a fault of theirs cannot hide behind a fault of the lanes.
 */
export interface PlainMesh {
  gateway: { address: string; port: number };
  plans: NodePlan[];
}

export function plainMesh(prefix: string, gatewayAddress: string, target: RenderTarget): PlainMesh {
  const productpage = instance('productpage', 1, prefix);
  const details = instance('details', 2, prefix);
  const clusters = [cluster(details, 'details'), cluster(productpage, 'productpage')];
  const plans = [productpage, details].map(
    (own): NodePlan => ({
      app: {
        instance: own,
        service: { name: own.service, protocol: 'http1', command: [], image: '' },
        isolated: false,
      },
      node: node(own.id, 'sidecar', target, {
        listeners: [
          listener('inbound', own.address, own.ports.inbound, 'app'),
          listener('outbound', own.address, own.ports.outbound, 'details'),
        ],
        clusters: [...clusters, cluster({ ...own, ports: { ...own.ports, inbound: own.ports.app } }, 'app')],
      }),
    }),
  );
  const gateway = { address: gatewayAddress, port: 8080 };
  const own = { listeners: [listener('gateway', gateway.address, gateway.port, 'productpage')], clusters };
  return { gateway, plans: [...plans, { node: node('gateway', 'gateway', target, own) }] };
}

function instance(service: string, index: number, prefix: string): Instance {
  return {
    id: `${service}-base-1`,
    service,
    lane: 'base',
    ordinal: 1,
    version: 'v1',
    address: `${prefix}.${index}.1`,
    ports: { app: 9081, inbound: 9080, outbound: 15001, control: 15015 },
    weight: 1,
    tlsReady: false,
    env: {},
    number: 0,
  };
}

function node(id: string, kind: RenderedNode['kind'], target: RenderTarget, resources: Resources): RenderedNode {
  const bootstrap = {
    node: { id, cluster: id },
    admin: { address: { pipe: { path: target.adminSocket(id) } } },
    static_resources: resources,
  };
  return {
    id,
    kind,
    dir: target.nodeDir(id),
    files: { 'bootstrap.json': JSON.stringify(bootstrap) },
    bootstrap: 'bootstrap.json',
    secrets: null,
    adminSocket: target.adminSocket(id),
    accessLog: target.accessLog(id),
    concurrency: 1,
    args: [],
    listeners: resources.listeners.map(({ address }) => {
      const at = (address as { socket_address: { address: string; port_value: number } }).socket_address;
      return `${at.address}:${at.port_value}`;
    }),
  };
}

interface Resources {
  listeners: JsonObject[];
  clusters: JsonObject[];
}

const TYPE = 'type.googleapis.com/envoy.extensions.filters';

function listener(name: string, address: string, port: number, to: string): JsonObject {
  return {
    name,
    address: { socket_address: { address, port_value: port } },
    filter_chains: [
      {
        filters: [
          {
            name: 'http',
            typed_config: {
              '@type': `${TYPE}.network.http_connection_manager.v3.HttpConnectionManager`,
              stat_prefix: name,
              route_config: {
                virtual_hosts: [
                  { name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: to } }] },
                ],
              },
              http_filters: [{ name: 'router', typed_config: { '@type': `${TYPE}.http.router.v3.Router` } }],
            },
          },
        ],
      },
    ],
  };
}

function cluster({ address, ports }: Instance, name: string): JsonObject {
  const endpoint = { address: { socket_address: { address, port_value: ports.inbound } } };
  return {
    name,
    type: 'STATIC',
    connect_timeout: '1s',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint }] }] },
    health_checks: [
      {
        timeout: '1s',
        interval: '0.2s',
        no_traffic_interval: '0.2s',
        unhealthy_threshold: 2,
        healthy_threshold: 1,
        http_health_check: { path: '/health' },
      },
    ],
  };
}
