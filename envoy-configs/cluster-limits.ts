import { CLASS } from '../filters/headers.ts';
import { type Cluster, seconds, socketAddress } from './clusters.ts';
import type { HttpFilter } from './filters.ts';
import type { ClusterLimit, JsonObject, Mesh, RateLimitService, Service } from './mesh.ts';
import { fileSource, PATHS } from './xds.ts';

/**
 * Limits that all instances of a service share: Envoy's own `ratelimit` filter before the application, and the reference
 * service (github.com/envoyproxy/ratelimit) that counts in Redis. Which limits a request meets is said by the routes'
 * `rate_limits`, how many it may be is said to the service, in the same words:
 *
 *   limit: <service>/<name> ─ interface: <interface> ─ value: <value of the header>
 */

const NAME = 'causeway.ratelimit';
const TYPE = 'type.googleapis.com/envoy.extensions';
const FILTER = `${TYPE}.filters.http.ratelimit.v3.RateLimit`;
/** In the filter's place where a service has no such limit. */
const NOTHING = `${TYPE}.filters.http.header_mutation.v3.HeaderMutation`;

/** Name of the file's domain: the service keeps one set of descriptors for each mesh. */
function domainOf(mesh: Mesh): string {
  return `causeway.${mesh.name}`;
}

/** The place of the filter in inbound chains, empty in a mesh without the service. Filled by a file of its own, as that of the wasm filter. */
export function clusterLimitPlace(mesh: Mesh, dir: string): HttpFilter[] {
  if (mesh.ratelimit === null) return [];
  const source = fileSource(dir, PATHS.extension(NAME));
  return [{ name: NAME, config_discovery: { config_source: source, type_urls: [FILTER, NOTHING] } }];
}

/** What stands in that place; null in a mesh without the service. */
export function clusterLimitExtension(mesh: Mesh, service: Service): JsonObject | null {
  if (mesh.ratelimit === null) return null;
  if (limitsOf(mesh, service).length === 0) return { name: NAME, typed_config: { '@type': NOTHING } };
  return {
    name: NAME,
    typed_config: {
      '@type': FILTER,
      domain: domainOf(mesh),
      timeout: seconds(mesh.ratelimit.timeoutMs),
      failure_mode_deny: mesh.ratelimit.failClosed,
      rate_limited_as_resource_exhausted: true,
      rate_limit_service: { transport_api_version: 'V3', grpc_service: { envoy_grpc: { cluster_name: NAME } } },
    },
  };
}

export const CLUSTER_LIMIT_FILE = PATHS.extension(NAME);

/** The service, as sidecars reach it. */
export function clusterLimitClusters(mesh: Mesh): Cluster[] {
  const { ratelimit } = mesh;
  if (ratelimit === null) return [];
  return [
    {
      name: NAME,
      alt_stat_name: NAME.replaceAll('.', '_'),
      type: /^[0-9.]+$/.test(ratelimit.address) ? 'STATIC' : 'STRICT_DNS',
      connect_timeout: seconds(Math.min(ratelimit.timeoutMs, 1_000)),
      load_assignment: { cluster_name: NAME, endpoints: [{ lb_endpoints: [endpointOf(ratelimit)] }] },
      typed_extension_protocol_options: {
        'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
          '@type': `${TYPE}.upstreams.http.v3.HttpProtocolOptions`,
          explicit_http_config: { http2_protocol_options: {} },
        },
      },
    },
  ];
}

function endpointOf({ address, port }: RateLimitService): JsonObject {
  return { endpoint: { address: socketAddress(address, port) } };
}

/** `rate_limits` of the routes to the application: one descriptor for each limit that a request meets. */
export function clusterLimitActions(mesh: Mesh, service: Service): JsonObject {
  const limits = limitsOf(mesh, service);
  if (limits.length === 0) return {};
  return { rate_limits: limits.map((limit) => ({ actions: actionsOf(service, limit) })) };
}

function actionsOf(service: Service, limit: ClusterLimit): JsonObject[] {
  return [
    {
      // Health checks and control meet no limit: without this entry there is no descriptor.
      header_value_match: {
        descriptor_key: 'limit',
        descriptor_value: `${service.name}/${limit.name}`,
        expect_match: false,
        headers: [{ name: CLASS, string_match: { exact: '0' } }],
      },
    },
    ...(limit.interface === '' ? [] : [interfaceAction(service)]),
    ...(limit.header === ''
      ? []
      : [{ request_headers: { header_name: limit.header, descriptor_key: 'value' } } as JsonObject]),
  ];
}

/** The first interface that fits, as filters/interface finds it. */
function interfaceAction(service: Service): JsonObject {
  const tests = service.interfaces.map(({ name, methods, template }) => {
    const path = `request.url_path.matches(r"${patternOf(template)}")`;
    const method = methods.length === 0 ? '' : ` && request.method in ${JSON.stringify(methods)}`;
    return `${path}${method} ? "${name}" : `;
  });
  return {
    extension: {
      name: 'envoy.rate_limit_descriptors.expr',
      typed_config: {
        '@type': `${TYPE}.rate_limit_descriptors.expr.v3.Descriptor`,
        descriptor_key: 'interface',
        text: `${tests.join('')}"other"`,
      },
    },
  };
}

/** A route template as RE2. Quotes cannot stand in a raw string of CEL. */
function patternOf(template: string): string {
  const open = template.endsWith('**');
  const whole = open ? template.slice(0, -2) : template;
  const escaped = whole
    .split('/')
    .map((segment) => (segment.startsWith('{') ? '[^/]+' : segment.replace(/[^A-Za-z0-9_-]/g, hex)))
    .join('/');
  return `^${escaped}${open ? '' : '$'}`;
}

function hex(character: string): string {
  return [...Buffer.from(character)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');
}

function limitsOf(mesh: Mesh, service: Service): readonly ClusterLimit[] {
  return mesh.ratelimit === null || !mesh.filters['adaptive-rate-limit'].enabled ? [] : (service.limits?.cluster ?? []);
}

/** What the reference service is told: the text of a file in its folder `config`. */
export function rateLimitDescriptors(mesh: Mesh): JsonObject {
  const limits = mesh.services.flatMap((service) =>
    limitsOf(mesh, service).map((limit) => ({ ...limit, name: `${service.name}/${limit.name}` })),
  );
  return { domain: domainOf(mesh), descriptors: limits.map(descriptorOf) };
}

function descriptorOf({ name, interface: of, header, requests, unit }: ClusterLimit): JsonObject {
  const rate: JsonObject = { rate_limit: { unit, requests_per_unit: requests } };
  const byValue: JsonObject = header === '' ? rate : { descriptors: [{ key: 'value', ...rate }] };
  const byInterface: JsonObject = of === '' ? byValue : { descriptors: [{ key: 'interface', value: of, ...byValue }] };
  return { key: 'limit', value: name, ...byInterface };
}
