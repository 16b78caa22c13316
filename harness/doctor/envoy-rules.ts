import type { JsonObject } from '../../envoy-configs/mesh.ts';
import { ISOLATED, UNREACHED } from '../../filters/headers.ts';
import { ENVOY_REQUEST_HEADERS, INTERNAL_HEADERS } from '../../filters/internal-headers.ts';
import { type Complaint, isType, listAt, objectAt, type Rule } from './finding.ts';

/** Mistakes in Envoy's own configuration that an object shows by itself. */

const walksList = (cluster: JsonObject) =>
  objectAt(cluster, 'lb_subset_config')?.metadata_fallback_policy === 'FALLBACK_LIST';

const panicThreshold: Rule = {
  name: 'panic-threshold',
  check(cluster) {
    if (!walksList(cluster)) return [];
    const threshold = objectAt(cluster, 'common_lb_config', 'healthy_panic_threshold');
    const value = Number(threshold?.value ?? (threshold ? 0 : 50));
    if (value === 0) return [];
    return [
      {
        path: ['common_lb_config'],
        reason: `the panic threshold is ${value} %: a lane most of whose instances are unhealthy is used all the same instead of falling back`,
        fix: 'common_lb_config: { healthy_panic_threshold: { value: 0 } }',
      },
    ];
  },
};

const fallbackPolicy: Rule = {
  name: 'fallback-policy',
  check(cluster) {
    if (!walksList(cluster)) return [];
    const subsets = objectAt(cluster, 'lb_subset_config') ?? {};
    const own = subsets.fallback_policy ?? 'NO_FALLBACK';
    const fix = 'fallback_policy: NO_FALLBACK, and the default list in the routes’ metadata_match';
    const reason = (policy: unknown) =>
      `${String(policy)} already answers for an absent lane, so the rest of the fallback list is never walked`;
    const wrong: Complaint[] = listAt(subsets, 'subset_selectors').flatMap((selector, index) => {
      const policy = selector.fallback_policy ?? own;
      if (policy === 'NO_FALLBACK' || policy === 'NOT_DEFINED') return [];
      return [{ path: ['lb_subset_config', 'subset_selectors', index], reason: reason(policy), fix }];
    });
    return own === 'NO_FALLBACK' ? wrong : [{ path: ['lb_subset_config'], reason: reason(own), fix }, ...wrong];
  },
};

const subsetSelector: Rule = {
  name: 'subset-selector',
  check(cluster) {
    if (!walksList(cluster)) return [];
    if (listAt(objectAt(cluster, 'lb_subset_config') ?? {}, 'subset_selectors').length > 0) return [];
    return [
      {
        path: ['lb_subset_config'],
        reason: 'no subset selector: Envoy builds no subsets, and every entry of the list is passed over',
        fix: 'subset_selectors: [{ keys: [lane], fallback_policy: NO_FALLBACK }]',
      },
    ];
  },
};

const noTrafficInterval: Rule = {
  name: 'no-traffic-interval',
  check(cluster) {
    return listAt(cluster, 'health_checks').flatMap((check, index) =>
      check.no_traffic_interval === undefined
        ? [
            {
              path: ['health_checks', index],
              reason:
                'a cluster without traffic is checked every 60 s only: a host that failed its first check stays dead that long',
              fix: `no_traffic_interval: ${String(check.interval ?? '1s')}`,
            },
          ]
        : [],
    );
  },
};

const MANAGER = 'HttpConnectionManager';

/** An edge: it knows its clients by their connection. */
const isEdge = (manager: JsonObject) => isType(manager, MANAGER) && manager.use_remote_address === true;

const strippedHeaders: Rule = {
  name: 'internal-headers',
  check(manager) {
    if (!isEdge(manager) || !JSON.stringify(manager.http_filters ?? []).includes('causeway')) return [];
    const early = JSON.stringify(manager.early_header_mutation_extensions ?? []);
    const names = [
      ...INTERNAL_HEADERS.filter(({ on, fromOutside }) => on === 'request' && fromOutside).map(({ name }) => name),
      ...ENVOY_REQUEST_HEADERS,
    ];
    const missing = names.filter((name) => !early.includes(`"${name}"`));
    if (missing.length === 0) return [];
    return [
      {
        reason: `an outsider may send ${missing.slice(0, 3).join(', ')}${missing.length > 3 ? ` and ${missing.length - 3} more` : ''}, which the mesh believes`,
        fix: 'early_header_mutation_extensions that remove every header of filters/internal-headers.ts; `causeway render` writes them',
      },
    ];
  },
};

const requestIds: Rule = {
  name: 'external-request-id',
  check(manager) {
    if (!isEdge(manager) || manager.preserve_external_request_id !== true) return [];
    return [
      {
        path: ['preserve_external_request_id'],
        reason: 'outsiders choose trace ids: they can take another request’s lane, or fill the trace map',
        fix: 'preserve_external_request_id: false',
      },
    ];
  },
};

const LOOPBACK = /^(127\.|::1$|localhost$)/;

const adminExposed: Rule = {
  name: 'admin-exposed',
  check(value) {
    const address = objectAt(value, 'admin', 'address', 'socket_address')?.address;
    if (typeof address !== 'string' || LOOPBACK.test(address)) return [];
    return [
      {
        path: ['admin', 'address'],
        reason: `the admin interface listens on ${address}: whoever reaches it can end Envoy and read its configuration`,
        fix: 'admin: { address: { pipe: { path: …, mode: 0600 } } }, or a loopback address',
      },
    ];
  },
};

const clusterHeader: Rule = {
  name: 'cluster-header',
  check(value) {
    const name = objectAt(value, 'route')?.cluster_header;
    if (typeof name !== 'string') return [];
    return [
      {
        path: ['route', 'cluster_header'],
        reason: `whoever sets ${name} reaches any cluster; beside a cluster that is the admin interface, a client can end Envoy by it`,
        fix: 'one route for each target, matched on an exact token',
      },
    ];
  },
};

const requestClose: Rule = {
  name: 'request-close-http2',
  check(cluster) {
    const protocol = objectAt(
      cluster,
      'typed_extension_protocol_options',
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
    );
    if (!protocol || !objectAt(protocol, 'explicit_http_config', 'http2_protocol_options')) return [];
    const filters = JSON.stringify(protocol.http_filters ?? []);
    if (!filters.includes('connection-elimination') && !/"key":"connection","value":"close"/i.test(filters)) return [];
    return [
      {
        path: ['typed_extension_protocol_options'],
        reason: '`connection: close` on a request to an HTTP/2 upstream is a 502 for every request',
        fix: 'no connection elimination in place on HTTP/2: use a plain and a TLS cluster, chosen by the route',
      },
    ];
  },
};

const retriableHeaders: Rule = {
  name: 'retriable-headers',
  check(policy) {
    const headers = listAt(policy, 'retriable_headers').map(({ name }) => String(name));
    if (headers.length === 0 || !headers.some((name) => name === UNREACHED || name === ISOLATED)) return [];
    const missing = [UNREACHED, ISOLATED].filter((name) => !headers.includes(name));
    // Under Istio the words stand in the VirtualService.
    const retries = policy.retry_on === undefined || String(policy.retry_on).includes('retriable-headers');
    if (missing.length === 0 && retries) return [];
    return [
      {
        path: ['retriable_headers'],
        reason: retries
          ? `${missing.join(', ')} is missing: what an instance keeps out, a POST too, is answered 503 instead of going to another one`
          : 'retry_on does not name retriable-headers, so that none of them is looked at',
        fix: 'retry_on: …,retriable-headers, and retriable_headers with x-causeway-unreached and x-causeway-isolated, exact "1"',
      },
    ];
  },
};

const controlExposed: Rule = {
  name: 'control-exposed',
  check(listener) {
    const address = objectAt(listener, 'address', 'socket_address')?.address;
    if (typeof address !== 'string' || LOOPBACK.test(address)) return [];
    const chains = JSON.stringify(listener.filter_chains ?? []);
    if (!chains.includes('"causeway.control"') && !/direction\\*":\\*"control/.test(chains)) return [];
    return [
      {
        path: ['address'],
        reason: `the control listener is on ${address}: whoever reaches it takes the instance offline, and passes its isolation`,
        fix: 'an address of loopback',
      },
    ];
  },
};

export const ENVOY_RULES: readonly Rule[] = [
  panicThreshold,
  fallbackPolicy,
  subsetSelector,
  noTrafficInterval,
  strippedHeaders,
  requestIds,
  adminExposed,
  clusterHeader,
  requestClose,
  retriableHeaders,
  controlExposed,
];
