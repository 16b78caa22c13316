import { TLS } from '../filters/headers.ts';
import {
  type Cluster,
  type LaneScheme,
  type LoadAssignment,
  serviceClusters,
  serviceEndpoints,
  unitCluster,
  unitEndpoints,
} from './clusters.ts';
import { wasmExtension } from './filters.ts';
import { type Route, type RouteOptions, serviceRoutes } from './lane-routing.ts';
import type { Instance, JsonObject, Mesh, Service, ServiceTls } from './mesh.ts';

/**
 * What a service that may be called by TLS has beside, in Envoy v3 JSON: TLS clusters next to its plain ones with the same
 * lanes and chains, route entries that the exact token leads there, and the sockets of both sides. Certificates come by file
 * SDS from a directory of the node's own; no key is in anything that is rendered.
 */

/** Everything that a proxy needs to build TLS: who it is and where its secrets are. */
export interface TlsContext {
  readonly mesh: Mesh;
  /** Directory of the node's secrets: `identity.json` and `roots.json`, each one SDS resource. */
  readonly secrets: string;
  readonly wasmPath: string;
}

/** Names of the SDS resources, which are also those of their files. */
export const IDENTITY = 'identity';
export const ROOTS = 'roots';

/** Where a node's certificate and key are: a folder of mode 0700 in which nothing is rendered. */
export function secretsFolder(nodeDir: string): string {
  return `${nodeDir}/secrets`;
}

const TYPE = 'type.googleapis.com/envoy.extensions';
const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

/** Identity of all instances of a service, or of a gateway: the URI name in its certificate. */
export function identityOf(mesh: string, name: string): string {
  return `spiffe://${mesh}/${name}`;
}

/** The same service as its TLS clusters see it: named `<svc>.tls`, instances that are ready alone. */
function tlsTwin(service: Service): Service {
  return { ...service, name: `${service.name}.tls`, instances: service.instances.filter(isReady) };
}

function isReady(instance: Instance): boolean {
  return instance.tlsReady;
}

/** All clusters by which a proxy calls a service. */
export function clustersOf(service: Service, scheme: LaneScheme, context: TlsContext | null): Cluster[] {
  const plain = serviceClusters(service, scheme);
  const { tls } = service;
  if (tls === null || context === null) return plain;
  if (tls.pools === 'one') return plain.map((cluster) => servingBoth(cluster, service, tls, context));
  return [
    ...plain.map((cluster) => idling(tls.plainChecks ? cluster : unchecked(cluster), tls)),
    ...serviceClusters(tlsTwin(service), scheme).map((cluster) => idling(encrypted(cluster, service, context), tls)),
  ];
}

/** The endpoints of {@link clustersOf}, each with its readiness. */
export function endpointsOf(service: Service, scheme: LaneScheme): LoadAssignment[] {
  const plain = serviceEndpoints(service, scheme);
  if (service.tls === null) return plain;
  const all = service.tls.pools === 'one' ? plain : [...plain, ...serviceEndpoints(tlsTwin(service), scheme)];
  return all.map((assignment) => published(assignment, service, service.tls as ServiceTls));
}

/**
 * Whose unit clusters a provider-side redirect uses: the twin's once every call is to go by TLS, so that the second hop is not
 * in plaintext either. A canary's redirects are plain.
 */
export function unitOwner(service: Service): Service {
  return service.tls?.mode === 'on' ? tlsTwin(service) : service;
}

/** Clusters of one unit, in both states where the service has both. */
export function unitClusters(
  service: Service,
  unit: string,
  scheme: LaneScheme,
  context: TlsContext | null,
): Cluster[] {
  const plain = unitCluster(service, unit, scheme);
  const { tls } = service;
  if (tls === null || context === null) return [plain];
  const encrypting = encrypted(unitCluster(tlsTwin(service), unit, scheme), service, context);
  return [idling(tls.plainChecks ? plain : unchecked(plain), tls), idling(encrypting, tls)];
}

export function unitsEndpoints(service: Service, unit: string): LoadAssignment[] {
  const plain = unitEndpoints(service, unit);
  return service.tls === null ? [plain] : [plain, unitEndpoints(tlsTwin(service), unit)];
}

/** Routes to a service: by TLS for those with the token, first. */
export function routesOf(service: Service, scheme: LaneScheme, given: RouteOptions = {}): Route[] {
  const options = { timeoutMs: service.timeoutMs, ...given };
  const plain = serviceRoutes(service, scheme, options);
  if (service.tls?.pools !== 'two') return plain;
  return [...serviceRoutes(tlsTwin(service), scheme, options).map(withToken), ...plain];
}

function withToken(route: Route): Route {
  const match = route.match as { headers?: JsonObject[] };
  return {
    ...route,
    match: { ...match, headers: [{ name: TLS, string_match: { exact: '1' } }, ...(match.headers ?? [])] },
    request_headers_to_remove: [TLS, ...((route.request_headers_to_remove as string[] | undefined) ?? [])],
  };
}

/** A cluster that connects by TLS alone. Composite clusters have no connections of their own. */
export function encrypted(cluster: Cluster, service: Service, context: TlsContext): Cluster {
  return isComposite(cluster) ? cluster : { ...cluster, transport_socket: upstreamSocket(service, context) };
}

/** Nothing is sent in plaintext any more, health checks included: whoever listens on the way learns nothing by them. */
function unchecked(cluster: Cluster): Cluster {
  const { health_checks: _, ...rest } = cluster;
  return rest as Cluster;
}

/** A pool that takes no new requests is gone when its connections have been idle for so long. */
function idling(cluster: Cluster, tls: ServiceTls): Cluster {
  if (isComposite(cluster)) return cluster;
  return withHttpOptions(cluster, { common_http_protocol_options: { idle_timeout: `${tls.idleTimeoutMs / 1000}s` } });
}

/**
 * One cluster for both states, as Istio has it: the endpoint's metadata chooses the socket of new connections, and the
 * filter, inside the cluster, retires those that are in the other state. Envoy takes the filters of the cluster that the
 * route names, so composite clusters, which have no connections of their own, have them too.
 */
function servingBoth(cluster: Cluster, service: Service, tls: ServiceTls, context: TlsContext): Cluster {
  const { typed_config = null } = wasmExtension('upstream', context.wasmPath, {
    'connection-elimination': { direction: 'upstream' },
  });
  const filters = {
    http_filters: [
      { name: 'causeway.upstream', typed_config },
      {
        name: 'envoy.filters.http.upstream_codec',
        typed_config: { '@type': `${TYPE}.filters.http.upstream_codec.v3.UpstreamCodec` },
      },
    ],
  };
  if (isComposite(cluster)) {
    return withHttpOptions(cluster, { explicit_http_config: { http_protocol_options: {} }, ...filters });
  }
  const sockets = [
    { name: 'tls', match: { tls: '1' }, transport_socket: upstreamSocket(service, context) },
    {
      name: 'plain',
      match: {},
      transport_socket: {
        name: 'envoy.transport_sockets.raw_buffer',
        typed_config: { '@type': `${TYPE}.transport_sockets.raw_buffer.v3.RawBuffer` },
      },
    },
  ];
  return withHttpOptions({ ...idling(cluster, tls), transport_socket_matches: sockets }, filters);
}

function isComposite(cluster: Cluster): boolean {
  return cluster.cluster_type !== undefined;
}

function withHttpOptions(cluster: Cluster, fields: JsonObject): Cluster {
  const options = (cluster.typed_extension_protocol_options ?? {}) as { readonly [key: string]: JsonObject };
  const own = options[HTTP_OPTIONS] ?? { '@type': `${TYPE}.upstreams.http.v3.HttpProtocolOptions` };
  return { ...cluster, typed_extension_protocol_options: { ...options, [HTTP_OPTIONS]: { ...own, ...fields } } };
}

interface Endpoint {
  readonly metadata: { readonly filter_metadata: { readonly causeway: { readonly instance: string } & JsonObject } };
}

/** Says of each endpoint whether it is ready for TLS, and where one cluster serves both states, which it is to have. */
function published(assignment: LoadAssignment, service: Service, tls: ServiceTls): LoadAssignment {
  const ready = new Set(service.instances.filter(isReady).map(({ id }) => id));
  const chosen = new Set(tls.pools === 'one' ? encryptedInstances(service, tls) : []);
  const localities = assignment.endpoints as unknown as { lb_endpoints: (Endpoint & JsonObject)[] }[];
  return {
    ...assignment,
    endpoints: localities.map((locality) => ({
      lb_endpoints: locality.lb_endpoints.map((endpoint) => {
        const { filter_metadata } = endpoint.metadata;
        const { instance } = filter_metadata.causeway;
        return {
          ...endpoint,
          metadata: {
            filter_metadata: {
              ...filter_metadata,
              causeway: { ...filter_metadata.causeway, tls: ready.has(instance) ? 'ready' : 'absent' },
              ...(chosen.has(instance) ? { 'envoy.transport_socket_match': { tls: '1' } } : {}),
            },
          },
        };
      }),
    })),
  };
}

/** Which instances of a service with one pool have the state TLS: all, none, or the canary's share of them. */
export function encryptedInstances(service: Service, tls: ServiceTls): readonly string[] {
  const ready = service.instances.filter(isReady).map(({ id }) => id);
  if (tls.mode === 'off') return [];
  if (tls.mode === 'on') return ready;
  return ready.slice(0, Math.ceil((ready.length * tls.percent) / 100));
}

/** The caller's side: shows its own certificate to whoever asks, and takes only the callee's. */
function upstreamSocket(service: Service, context: TlsContext): JsonObject {
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': `${TYPE}.transport_sockets.tls.v3.UpstreamTlsContext`,
      sni: service.name,
      common_tls_context: {
        ...ownCertificate(context),
        ...peers(context, [identityOf(context.mesh.name, service.name)]),
        alpn_protocols: [service.protocol === 'http1' ? 'http/1.1' : 'h2'],
      },
    },
  };
}

/** The callee's side. With `mutual` only callers of this mesh come in. */
export function downstreamSocket(service: Service, context: TlsContext): JsonObject {
  const mutual = context.mesh.tls?.mutual ?? false;
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': `${TYPE}.transport_sockets.tls.v3.DownstreamTlsContext`,
      require_client_certificate: mutual,
      common_tls_context: {
        ...ownCertificate(context),
        ...(mutual ? peers(context, []) : {}),
        alpn_protocols: [service.protocol === 'http1' ? 'http/1.1' : 'h2'],
      },
    },
  };
}

function ownCertificate(context: TlsContext): JsonObject {
  return { tls_params: { tls_minimum_protocol_version: 'TLSv1_2' }, ...certificateContext(context.secrets) };
}

/** The proxy's own certificate and key, from its folder of secrets. */
export function certificateContext(secrets: string): JsonObject {
  return { tls_certificate_sds_secret_configs: [{ name: IDENTITY, sds_config: secretSource(secrets, IDENTITY) }] };
}

function peers(context: TlsContext, identities: readonly string[]): JsonObject {
  return {
    combined_validation_context: {
      default_validation_context: {
        ...(identities.length === 0
          ? {}
          : {
              match_typed_subject_alt_names: identities.map((exact) => ({ san_type: 'URI', matcher: { exact } })),
            }),
      },
      validation_context_sds_secret_config: { name: ROOTS, sds_config: secretSource(context.secrets, ROOTS) },
    },
  };
}

function secretSource(secrets: string, name: string): JsonObject {
  return {
    resource_api_version: 'V3',
    path_config_source: { path: `${secrets}/${name}.json`, watched_directory: { path: secrets } },
  };
}
