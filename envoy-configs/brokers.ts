import { type Cluster, seconds, socketAddress } from './clusters.ts';
import { networkPlace } from './filters.ts';
import { hasControl } from './isolation.ts';
import type { Listener } from './listeners.ts';
import type { Instance, Mesh, Service } from './mesh.ts';
import type { Broker } from './mesh-isolation.ts';

/** What stands between an application and its message brokers, in Envoy v3 JSON: plain TCP, which isolation can cut. */

const TCP_PROXY = 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy';
const ADDRESS = /^[0-9]{1,3}(\.[0-9]{1,3}){3}$/;

const clusterName = (broker: Broker): string => `causeway.broker.${broker.name}`;

export function brokerListeners(mesh: Mesh, service: Service, instance: Instance, dir: string): Listener[] {
  return service.brokers.map((broker) => ({
    name: `broker.${broker.name}`,
    address: socketAddress(instance.address, broker.port),
    traffic_direction: 'OUTBOUND',
    filter_chains: [
      {
        filters: [
          ...(hasControl(mesh) ? [networkPlace(dir)] : []),
          {
            name: 'envoy.filters.network.tcp_proxy',
            typed_config: {
              '@type': TCP_PROXY,
              stat_prefix: `broker_${broker.name}`,
              cluster: clusterName(broker),
              // Clients keep their connections alive themselves.
              idle_timeout: '0s',
            },
          },
        ],
      },
    ],
  }));
}

export function brokerClusters(service: Service): Cluster[] {
  return service.brokers.map((broker) => {
    const name = clusterName(broker);
    const endpoint = { endpoint: { address: socketAddress(broker.host, broker.hostPort) } };
    return {
      name,
      alt_stat_name: name.replaceAll('.', '_'),
      type: ADDRESS.test(broker.host) ? 'STATIC' : 'STRICT_DNS',
      connect_timeout: seconds(1_000),
      load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [endpoint] }] },
    };
  });
}
