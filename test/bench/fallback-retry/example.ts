/**
 * Writes envoy-configs/examples/lane-fallback.yaml from the builders: npx tsx test/bench/fallback-retry/example.ts. A test
 * compares the file with what this would write.
 */
import { writeFileSync } from 'node:fs';
import { Document, isCollection, visit } from 'yaml';
import { type LaneInstance, type LaneService, laneScheme, serviceClusters } from '../../../envoy-configs/clusters.ts';
import { fallbackBridge, serviceRoutes } from '../../../envoy-configs/lane-routing.ts';

export const EXAMPLE = 'envoy-configs/examples/lane-fallback.yaml';
const TAG = 'x-asm-traffic-lane';
const TYPE = 'type.googleapis.com/envoy.extensions.filters';

const HEAD = `# lane-fallback alone, at a caller's side: a service with the lanes base, dev1, GROUP_2, and down, whose instance is not there.
#
#   make build && envoy -c ${EXAMPLE}
#
#   # The body is the instance's name; x-causeway-wanted-lane says what the tag asked for, x-causeway-served-lane who answered.
#   curl -i -H 'host: reviews:9080' localhost:15001                                     # reviews-base-1
#   curl -i -H 'host: reviews:9080' -H '${TAG}: dev1' localhost:15001       # reviews-dev1-1
#   curl -i -H 'host: reviews:9080' -H '${TAG}: nowhere' localhost:15001    # reviews-base-1: there is no such lane
#   curl -i -H 'host: reviews:9080' -H '${TAG}: down' localhost:15001       # reviews-base-1: not available
#   curl -i -H 'host: reviews:9080' -H '${TAG}: transfer' localhost:15001   # reviews-GROUP_2-1: the next in its chain
#   curl -i -H 'host: reviews:9080' -H '${TAG}: gold' localhost:15001       # 503: strict, and no instance
#   for i in $(seq 50); do curl -s -H 'host: reviews:9080' localhost:15001; done        # one trace in ten: reviews-dev1-1
#
# Made by test/bench/fallback-retry/example.ts from the builders in clusters.ts and lane-routing.ts. The instances are
# listeners of the same Envoy, so that one command shows everything.
`;

const instance = (lane: string, port: number): LaneInstance => ({
  id: `reviews-${lane}-1`,
  lane,
  address: '127.0.0.1',
  weight: 1,
  ports: { inbound: port },
});
const REVIEWS: LaneService = {
  name: 'reviews',
  protocol: 'http1',
  idempotent: false,
  lb: { policy: 'round_robin' },
  shards: 0,
  healthCheck: { path: '/health', intervalMs: 1_000, timeoutMs: 500, unhealthyThreshold: 2, healthyThreshold: 1 },
  instances: [instance('base', 15081), instance('dev1', 15082), instance('GROUP_2', 15083), instance('down', 15089)],
};
// Lanes that are passed over need no stage of their own: the list of the first one walks the whole chain.
const SCHEME = laneScheme({ baseline: 'base', lanes: [], steering: [] });

const SECTION = {
  direction: 'outbound',
  lanes: [
    { name: 'transfer', chain: ['GROUP_2', 'base'] },
    { name: 'gold', mode: 'strict' },
  ],
  services: [{ name: 'reviews', authorities: ['reviews', 'reviews:9080'] }],
  steering: [{ name: 'tenth', lanes: ['base'], percent: 10, to: [{ lanes: ['dev1', 'base'] }] }],
};

const text = (value: string) => ({ '@type': 'type.googleapis.com/google.protobuf.StringValue', value });
const WASM = {
  name: 'envoy.filters.http.wasm',
  typed_config: {
    '@type': `${TYPE}.http.wasm.v3.Wasm`,
    config: {
      name: 'lane-fallback',
      root_id: 'lane-fallback',
      failure_policy: 'FAIL_RELOAD',
      configuration: { '@type': 'type.googleapis.com/google.protobuf.Struct', value: SECTION },
      vm_config: {
        vm_id: 'causeway',
        runtime: 'envoy.wasm.runtime.v8',
        code: { local: { filename: 'build/causeway.wasm' } },
        configuration: text('outbound'),
      },
    },
  },
};

function listener(name: string, port: number, filters: readonly object[], routes: readonly object[]): object {
  const router = {
    name: 'envoy.filters.http.router',
    typed_config: { '@type': `${TYPE}.http.router.v3.Router` },
  };
  const manager = {
    '@type': `${TYPE}.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: name,
    route_config: { virtual_hosts: [{ name, domains: ['*'], routes }] },
    http_filters: [...filters, router],
  };
  return {
    name,
    address: { socket_address: { address: '127.0.0.1', port_value: port } },
    filter_chains: [{ filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] }],
  };
}

/** The example as YAML. */
export function example(): string {
  const routes = serviceRoutes(REVIEWS, SCHEME, { report: { tagHeader: TAG, baseline: 'base' } });
  const running = REVIEWS.instances.filter(({ lane }) => lane !== 'down');
  const document = new Document(
    {
      admin: { address: { pipe: { path: 'lane-fallback.admin.sock' } } },
      static_resources: {
        listeners: [
          listener('outbound', 15001, [WASM, fallbackBridge()], routes),
          ...running.map(({ id, ports }) =>
            listener(
              id,
              ports.inbound,
              [],
              [{ match: { prefix: '/' }, direct_response: { status: 200, body: { inline_string: `${id}\n` } } }],
            ),
          ),
        ],
        clusters: serviceClusters(REVIEWS, SCHEME),
      },
    },
    { aliasDuplicateObjects: false },
  );
  // What fits on a line stands on one.
  visit(document, (_key, node) => {
    if (isCollection(node) && JSON.stringify(node).length <= 100) node.flow = true;
  });
  return HEAD + document.toString({ lineWidth: 160, singleQuote: true });
}

if (process.argv[1] === import.meta.filename) writeFileSync(EXAMPLE, example());
