import { PATHS, resourcesOf } from '../../../envoy-configs/xds.ts';
import type { TlsStage } from '../../tls/stage.ts';
import { type Resource, rewrite } from '../rewrite.ts';

export type State = 'on' | 'off';

/** One way of changing a service's calls between plaintext and TLS. */
export interface Way {
  readonly name: string;
  readonly service: string;
  prepare?(stage: TlsStage): Promise<void>;
  flip(stage: TlsStage, state: State): Promise<void>;
}

/** None calls another: twelve sidecars that checked each other's health would take the machine. */
const ALONE = 'APP, calls: [], healthCheck: { interval: 1s, timeout: 3s }, instances: { base: { replicas: 2 } }';
const ONE_POOL = 'tls: { mode: off, pools: one }';

/** YAML of the drill's services. */
export const SERVICES = [
  `  h1: { ${ALONE} }`,
  `  h2: { protocol: http2, ${ALONE} }`,
  `  up: { ${ONE_POOL}, ${ALONE} }`,
  `  socket1: { ${ALONE} }`,
  `  socket2: { protocol: http2, ${ALONE} }`,
  `  label: { ${ONE_POOL}, ${ALONE} }`,
].join('\n');

/** Whose calls are changed. */
const front = (stage: TlsStage) => stage.node('front-base-1');

/** Another transport socket in the cluster, pushed by CDS. */
function socketFlip(service: string): Way['flip'] {
  return async (stage, state) => {
    const all = resourcesOf(front(stage).files[PATHS.clusters] ?? '');
    const encrypted = all.find(({ name }) => name === `${service}.tls.lanes`)?.transport_socket;
    await rewrite(front(stage), 'cluster', PATHS.clusters, (cluster) => {
      if (![`${service}.lanes`, `${service}.baseline`].includes(cluster.name)) return cluster;
      const { transport_socket: _, ...plain } = cluster;
      return state === 'on' ? { ...plain, transport_socket: encrypted } : plain;
    });
  };
}

const OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

/** The label of the endpoints chooses the socket, without the filter that retires old connections: what Istio does. */
const labelFlip: Pick<Way, 'prepare' | 'flip'> = {
  prepare: (stage) =>
    rewrite(front(stage), 'cluster', PATHS.clusters, (cluster) => {
      if (!cluster.name.startsWith('label')) return cluster;
      const { http_filters: _, ...options } = cluster.typed_extension_protocol_options[OPTIONS];
      return { ...cluster, typed_extension_protocol_options: { [OPTIONS]: options } };
    }),
  flip: async (stage, state) => {
    for (const cluster of ['label.lanes', 'label.baseline']) {
      await rewrite(front(stage), 'endpoints', PATHS.endpoints(cluster), (assignment) => ({
        ...assignment,
        endpoints: assignment.endpoints.map(({ lb_endpoints }: Resource) => ({
          lb_endpoints: lb_endpoints.map((endpoint: Resource) => {
            const { 'envoy.transport_socket_match': _, ...labels } = endpoint.metadata.filter_metadata;
            const match = state === 'on' ? { 'envoy.transport_socket_match': { tls: '1' } } : {};
            return { ...endpoint, metadata: { filter_metadata: { ...labels, ...match } } };
          }),
        })),
      }));
    }
  },
};

export const OURS: readonly Way[] = [
  { name: 'HTTP/1', service: 'h1', flip: (stage, state) => stage.set('h1', state) },
  { name: 'HTTP/2', service: 'h2', flip: (stage, state) => stage.set('h2', state) },
  { name: 'one pool, HTTP/1', service: 'up', flip: (stage, state) => stage.set('up', state) },
];

/** The same without this project: another transport socket by CDS, or the endpoints' label alone. */
export const BY_HAND: readonly (Way & { readonly besides: string })[] = [
  { name: 'transport socket by CDS', besides: 'HTTP/1', service: 'socket1', flip: socketFlip('socket1') },
  { name: 'transport socket by CDS', besides: 'HTTP/2', service: 'socket2', flip: socketFlip('socket2') },
  { name: 'endpoint label', besides: 'one pool, HTTP/1', service: 'label', ...labelFlip },
];
