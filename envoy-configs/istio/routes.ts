import { LANE, UNREACHED } from '../../filters/headers.ts';
import { seconds } from '../clusters.ts';
import { MAYBE_SEEN, MAYBE_SEEN_GRPC, NEVER_SEEN, WANTED_BY_TAG } from '../lane-routing.ts';
import type { Gateway, JsonObject, Mesh, Service } from '../mesh.ts';
import { laneSubset, type RoutedChain, routedChains } from './chains.ts';
import { type Resource, resource } from './kube.ts';
import { hostOf, type IstioOptions } from './options.ts';

/**
 * VirtualServices: one route for each chain that a request may ask for, matched on the exact text of the filter's header,
 * and the baseline behind them. A route's name ties it to the patch that gives it its chain's cluster (clusters.ts).
 */

/** A route as VirtualService and EnvoyFilter both need to know it. */
export interface LaneRoute {
  /** Unique in the mesh. */
  readonly name: string;
  /** Null for the default: the baseline. */
  readonly chain: RoutedChain | null;
  /** May run twice: GET, HEAD, OPTIONS, or an interface that is declared so. */
  readonly twice: boolean;
  /** Parts of the match beside the chain's header. */
  readonly match: JsonObject;
}

const READING = 'GET|HEAD|OPTIONS';

/** Every route to a service in the order in which they are to stand. `scope` keeps the names of different places apart. */
export function laneRoutes(mesh: Mesh, service: Service, scope: string, prefix = '/'): readonly LaneRoute[] {
  const chains = [...routedChains(mesh, service), null];
  return chains.flatMap((chain) => {
    const name = ['causeway', scope, service.name, chain?.label ?? 'default'].filter((part) => part !== '').join('.');
    const header = chain === null ? {} : { headers: { [LANE]: { exact: chain.token } } };
    const uri = prefix === '/' ? {} : { uri: { prefix } };
    const any = { name, chain, twice: service.idempotent, match: { ...uri, ...header } };
    if (service.idempotent) return [any];
    const reading = {
      ...any,
      name: `${name}.reading`,
      twice: true,
      match: { ...any.match, method: { regex: READING } },
    };
    return [reading, any];
  });
}

/** Calls inside the mesh. */
export function virtualService(mesh: Mesh, service: Service, istio: IstioOptions): Resource {
  return resource('VirtualService', istio.namespace, `causeway-${service.name}`, {
    hosts: [hostOf(service, istio)],
    http: laneRoutes(mesh, service, '').map((route) => httpRoute(mesh, service, istio, route)),
  });
}

/** What a gateway listens to, and where its paths lead. */
export function gatewayResources(mesh: Mesh, gateway: Gateway, istio: IstioOptions): readonly Resource[] {
  const name = `causeway-${gateway.id}`;
  const http = gateway.routes.flatMap(({ service: serviceName }, position) => {
    const service = mesh.services.find((candidate) => candidate.name === serviceName);
    if (!service) return [];
    return gatewayRoutes(mesh, gateway, service, position).map((route) => httpRoute(mesh, service, istio, route));
  });
  return [
    resource('Gateway', istio.namespace, name, {
      selector: istio.gatewaySelector,
      servers: [{ port: { number: gateway.port, name: 'http', protocol: 'HTTP' }, hosts: ['*'] }],
    }),
    resource('VirtualService', istio.namespace, name, { hosts: ['*'], gateways: [name], http }),
  ];
}

/** Routes of one of a gateway's paths. */
export function gatewayRoutes(mesh: Mesh, gateway: Gateway, service: Service, position: number): readonly LaneRoute[] {
  const prefix = gateway.routes[position]?.pathPrefix ?? '/';
  return laneRoutes(mesh, service, `${gateway.id}${position === 0 ? '' : `.${position}`}`, prefix);
}

/**
 * Tries of a chain: one for each subset that has instances as the file says, one more where only one does; the baseline may
 * be asked a second time. A subset without an instance takes no try, so more would only go to the baseline.
 */
export function triesOf(mesh: Mesh, chain: RoutedChain | null): number {
  const base = laneSubset(mesh.baseline);
  const { subsets, present } = chain ?? { subsets: [base], present: 1 };
  // Never one alone: Istio refuses a policy of retries that makes none.
  return Math.max(present, 1) + (present <= 1 || subsets.at(-1) === base ? 1 : 0);
}

/** Subsets by try. */
export function memberSubsets(mesh: Mesh, chain: RoutedChain | null): readonly string[] {
  const base = laneSubset(mesh.baseline);
  const subsets = chain?.subsets ?? [base];
  const last = subsets.at(-1) ?? base;
  return last !== base && subsets.length > 1 ? subsets : [...subsets, last];
}

function httpRoute(mesh: Mesh, service: Service, istio: IstioOptions, route: LaneRoute): JsonObject {
  const match = Object.keys(route.match).length === 0 ? {} : { match: [route.match] };
  const base = laneSubset(mesh.baseline);
  // In force only while the patch that leads to the chain's own cluster is not: then nobody may fail for want of an instance.
  const subsets = route.chain?.subsets ?? [];
  const subset = subsets.includes(base) ? base : (subsets[0] ?? base);
  const grpc = service.protocol === 'grpc' ? MAYBE_SEEN_GRPC : [];
  const words = route.twice ? [...NEVER_SEEN, ...MAYBE_SEEN, ...grpc] : NEVER_SEEN;
  return {
    name: route.name,
    ...match,
    route: [{ destination: { host: hostOf(service, istio), subset, port: { number: service.port } } }],
    timeout: seconds(service.timeoutMs),
    retries: {
      attempts: triesOf(mesh, route.chain) - 1,
      retryOn: words.join(','),
      ...(route.twice && service.timeoutMs > 0 ? { perTryTimeout: seconds(service.timeoutMs / 3) } : {}),
    },
    headers: headersOf(mesh),
  };
}

/** The chain's header ends here; who was wanted is said on the answer, who served by the callee's sidecar. */
function headersOf(mesh: Mesh): JsonObject {
  return {
    request: { remove: [LANE] },
    response: {
      ...(mesh.report ? { set: { [WANTED_BY_TAG.name]: WANTED_BY_TAG.value(mesh.tagHeader) } } : {}),
      remove: [UNREACHED],
    },
  };
}
