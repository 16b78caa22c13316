import { type Cluster, seconds, socketAddress } from './clusters.ts';
import type { Instance, Service } from './mesh.ts';

/** The local application, which only its own sidecar calls. No retries and no checks here: callers check through us. */
export function applicationCluster(service: Service, instance: Instance, name: string): Cluster {
  const endpoint = { endpoint: { address: socketAddress(instance.address, instance.ports.app) } };
  const protocol = service.protocol === 'http1' ? { http_protocol_options: {} } : { http2_protocol_options: {} };
  return {
    name,
    alt_stat_name: 'application',
    type: 'STATIC',
    connect_timeout: seconds(1_000),
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [endpoint] }] },
    circuit_breakers: { thresholds: [{ max_connections: 4096, max_pending_requests: 4096, max_requests: 4096 }] },
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
        explicit_http_config: protocol,
      },
    },
  };
}
