import type { Instance, Mesh, Service } from '../mesh.ts';
import type { IstioConfig } from './schema.ts';

/** Which of Istio's resources puts the filters into the chains; everything else is the same. */
export type PluginApi = 'envoyfilter' | 'trafficextension' | 'wasmplugin';

/** Where a proxy gets the module. */
export interface ModuleReference {
  /** `file:///path` or `oci://registry/repository:tag`. */
  readonly url: string;
  /** 64 hex digits: of the module for `file://`, of the image's manifest for `oci://`, which is what istio-agent compares. */
  readonly sha256: string;
}

export interface IstioOptions {
  readonly namespace: string;
  readonly gatewayNamespace: string;
  readonly gatewaySelector: Readonly<Record<string, string>>;
  readonly domain: string;
  readonly laneLabel: string;
  readonly appLabel: string;
  readonly fallback: 'composite' | 'aggregate';
  readonly module: ModuleReference;
  /** Path of the module in every proxy's container, for the agent; null where nothing says one. */
  readonly agentModule: string | null;
  readonly api: PluginApi;
}

export const DEFAULT_MODULE = 'file:///etc/causeway/causeway.wasm';

export function resolveIstio(config: IstioConfig | undefined, module: ModuleReference, api: PluginApi): IstioOptions {
  return {
    namespace: config?.namespace ?? 'default',
    gatewayNamespace: config?.gatewayNamespace ?? 'istio-system',
    gatewaySelector: config?.gatewaySelector ?? { istio: 'ingressgateway' },
    domain: config?.domain ?? 'cluster.local',
    laneLabel: config?.laneLabel ?? 'lane',
    appLabel: config?.appLabel ?? 'app',
    fallback: config?.fallback ?? 'aggregate',
    module,
    agentModule: filePath(config?.agentModule ?? module.url),
    api,
  };
}

function filePath(url: string): string | null {
  return url.startsWith('file://') ? url.slice('file://'.length) : null;
}

/** Full host name of a service. */
export function hostOf(service: Pick<Service, 'name'>, istio: IstioOptions): string {
  return `${service.name}.${istio.namespace}.svc.${istio.domain}`;
}

/** The mesh with every name by which Kubernetes lets a service be called. */
export function withClusterNames(mesh: Mesh, istio: IstioOptions): Mesh {
  return {
    ...mesh,
    services: mesh.services.map((service) => {
      const short = `${service.name}.${istio.namespace}`;
      const names = [short, `${short}.svc`, hostOf(service, istio)];
      return { ...service, aliases: names.flatMap((name) => [name, `${name}:${service.port}`]) };
    }),
  };
}

/** Labels that the instances of one lane of a service have, and no others of this service. */
export function laneLabels(service: Service, lane: string, istio: IstioOptions): Readonly<Record<string, string>> {
  const own = service.instances.find((instance) => instance.lane === lane)?.labels ?? {};
  return Object.keys(own).length > 0 ? own : { [istio.laneLabel]: lane };
}

/** Label by which rules that pin traffic to one instance find it; it must be put on the Pod. */
export const INSTANCE_LABEL = 'instance';

export function instanceOf(service: Service, id: string): Instance | undefined {
  return service.instances.find((instance) => instance.id === id);
}
