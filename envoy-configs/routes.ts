import { clusterLimitActions } from './cluster-limits.ts';
import type { LaneScheme } from './clusters.ts';
import { faultOverride } from './filters.ts';
import { applicationRoute, type Route, redirectRoutes } from './lane-routing.ts';
import { authorities, type Gateway, type Instance, type JsonObject, type Mesh, type Service } from './mesh.ts';
import { routesOf, unitOwner } from './tls.ts';

/** Route configurations of a node, in Envoy v3 JSON. They come by RDS, so that a change reaches connections that exist. */

export type RouteConfiguration = JsonObject & { readonly name: string };

/** Name of the cluster that is the local application; no service can be called like it. */
export const APPLICATION = 'causeway.application';

/** Names of services are DNS labels, so this host name can only come from a request. */
const NO_SUCH_SERVICE: Route = {
  match: { prefix: '/' },
  direct_response: { status: 404, body: { inline_string: 'causeway: no such service in this mesh\n' } },
};

/** What the edge routes: paths to services, longest prefix first. */
export function gatewayRoutes(mesh: Mesh, scheme: LaneScheme, gateway: Gateway): RouteConfiguration {
  const report = gateway.exposeLane ? reportOptions(mesh) : {};
  const routes = gateway.routes.flatMap(({ pathPrefix, service }) =>
    routesOf(serviceOf(mesh, service), scheme, { prefix: pathPrefix, edge: !gateway.exposeLane, ...report }),
  );
  return configuration('gateway', [{ name: 'everything', domains: ['*'], routes }]);
}

/**
 * What arrives goes to the application, unless this instance redirects it. A fault drill is a route of its own: while the
 * fault filter looks, the redirect's token is not there yet, so a drill does not depend on redirects or they on it.
 */
export function inboundRoutes(mesh: Mesh, instance: Instance): RouteConfiguration {
  const service = serviceOf(mesh, instance.service);
  const application = applicationRoute(APPLICATION, service.timeoutMs);
  const drills = mesh.faults.filter(({ services }) => services.length === 0 || services.includes(instance.service));
  const routes = [
    ...redirectRoutes(unitOwner(service).name, redirectUnits(mesh, instance), service.timeoutMs),
    ...drills.map((fault) => ({
      ...application,
      match: { prefix: '/', headers: [{ name: mesh.tagHeader, string_match: { exact: fault.lane } }] },
      typed_per_filter_config: faultOverride(fault),
    })),
    application,
  ];
  const limits = clusterLimitActions(mesh, service);
  return configuration('inbound', [{ name: 'application', domains: ['*'], routes, ...limits }]);
}

/** Units to which an instance's own sidecar may forward. */
export function redirectUnits(mesh: Mesh, instance: Instance): readonly string[] {
  const rules = mesh.redirects.filter(
    (rule) => rule.service === instance.service && rule.fromLanes.includes(instance.lane),
  );
  return [...new Set(rules.map((rule) => rule.to))];
}

/** Calls of the application, by the callee's name in `Host`. Nothing leads out of the mesh. */
export function outboundRoutes(mesh: Mesh, scheme: LaneScheme, callees: readonly Service[]): RouteConfiguration {
  const report = mesh.report ? reportOptions(mesh) : {};
  return configuration('outbound', [
    ...callees.map((service) => ({
      name: service.name,
      domains: authorities(service),
      routes: routesOf(service, scheme, report),
    })),
    { name: 'nobody', domains: ['*'], routes: [NO_SUCH_SERVICE] },
  ]);
}

function reportOptions(mesh: Mesh) {
  return { report: { tagHeader: mesh.tagHeader, baseline: mesh.baseline } };
}

function serviceOf(mesh: Mesh, name: string): Service {
  const service = mesh.services.find((candidate) => candidate.name === name);
  if (!service) throw new Error(`no service ${name} in mesh ${mesh.name}`);
  return service;
}

/** Clusters come by a subscription of their own; a route may be there a moment before its cluster. */
export function configuration(name: string, virtualHosts: readonly JsonObject[]): RouteConfiguration {
  return { name, validate_clusters: false, virtual_hosts: virtualHosts };
}
