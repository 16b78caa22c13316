import type { Resource } from '../../envoy-configs/istio/kube.ts';
import { hostOf, type IstioOptions, instanceOf, laneLabels } from '../../envoy-configs/istio/options.ts';
import type { IstioFile } from '../../envoy-configs/istio/render.ts';
import { laneAccessLog } from '../../envoy-configs/lane-routing.ts';
import { calleesOf, type Instance, type JsonObject, type Mesh, type Service } from '../../envoy-configs/mesh.ts';
import type { ChainRole, RenderTarget } from '../../envoy-configs/rendered.ts';
import type { ResourceFiles } from './control-plane.ts';

/**
 * What a cluster has before Causeway comes: services, Pods with their labels, where each sidecar listens. On this machine a
 * Pod is a loopback address and nothing redirects its traffic, so each sidecar gets explicit binds instead of iptables.
 */

/** Labels of an instance's Pod. */
export function podLabels(service: Service, instance: Instance, istio: IstioOptions): Record<string, string> {
  return {
    [istio.appLabel]: service.name,
    version: instance.version,
    instance: instance.id,
    ...laneLabels(service, instance.lane, istio),
  };
}

/** The rendered files, without what the rig says otherwise, and with what the cluster itself would have. */
export function clusterFiles(
  mesh: Mesh,
  istio: IstioOptions,
  rendered: readonly IstioFile[],
  target: RenderTarget,
  ready: (id: string) => boolean = () => true,
): Record<string, readonly object[]> {
  const files: Record<string, readonly object[]> = {};
  for (const { name, resources } of rendered) {
    // One Sidecar for a workload: the rig's says where to listen, and takes over to whom it may talk.
    files[name] = resources.filter(({ kind }) => kind !== 'Sidecar');
  }
  files['90-services'] = mesh.services.map((service) => serviceEntry(service, istio));
  files['91-pods'] = mesh.services.flatMap((service) =>
    service.instances.filter(({ id }) => ready(id)).map((instance) => workloadEntry(service, instance, istio)),
  );
  files['92-sidecars'] = mesh.services.flatMap((service) =>
    service.instances.map((instance) => sidecar(mesh, service, instance, istio)),
  );
  files['93-rig'] = [plainText(istio), ...rigFilters(mesh, istio, target)];
  return files;
}

/** `files` with what others say of single workloads that these know nothing of: where they listen, and their log. */
export function withWorkloads(files: ResourceFiles, others: ResourceFiles): ResourceFiles {
  const key = (item: object) => {
    const { kind, metadata } = item as Resource;
    return `${kind}/${metadata.namespace}/${metadata.name}`;
  };
  const merged = ['92-sidecars', '93-rig'].map((name) => {
    const own = files[name] ?? [];
    const known = new Set(own.map(key));
    return [name, [...own, ...(others[name] ?? []).filter((item) => !known.has(key(item)))]];
  });
  return { ...files, ...Object.fromEntries(merged) };
}

function object(kind: string, apiVersion: string, namespace: string, name: string, spec: object): object {
  return { apiVersion, kind, metadata: { name: name.toLowerCase().replaceAll('_', '-'), namespace }, spec };
}

const NETWORKING = 'networking.istio.io/v1';

function serviceEntry(service: Service, istio: IstioOptions): object {
  const protocol = service.protocol === 'http1' ? 'HTTP' : 'HTTP2';
  const egress = service.instances[0]?.ports.outbound;
  return object('ServiceEntry', NETWORKING, istio.namespace, service.name, {
    hosts: [hostOf(service, istio)],
    ports: [
      { number: service.port, name: 'http', protocol },
      // Istio lets an egress listener lead only to services that have its port; the rendered routes name the real one.
      // Its cluster comes with the listener that `sidecar` adds for it.
      { number: egress, name: 'http-egress', protocol, targetPort: service.port },
    ],
    location: 'MESH_INTERNAL',
    resolution: 'STATIC',
    workloadSelector: { labels: { [istio.appLabel]: service.name } },
  });
}

function workloadEntry(service: Service, instance: Instance, istio: IstioOptions): object {
  return object('WorkloadEntry', NETWORKING, istio.namespace, instance.id, {
    address: instance.address,
    labels: podLabels(service, instance, istio),
    weight: instance.weight,
  });
}

function sidecar(mesh: Mesh, service: Service, instance: Instance, istio: IstioOptions): object {
  const callees = calleesOf(mesh, service);
  const hosts = callees.map((callee) => `./${hostOf(callee, istio)}`);
  const ports = [...new Set(callees.map(({ port }) => port))];
  const protocol = service.protocol === 'http1' ? 'HTTP' : 'HTTP2';
  return object('Sidecar', NETWORKING, istio.namespace, instance.id, {
    workloadSelector: { labels: { instance: instance.id } },
    ingress: [
      {
        port: { number: service.port, protocol, name: 'http' },
        bind: instance.address,
        captureMode: 'NONE',
        // Istio's words for "the Pod's own address".
        defaultEndpoint: `0.0.0.0:${instance.ports.app}`,
      },
    ],
    egress: [
      {
        port: { number: instance.ports.outbound, protocol: 'HTTP', name: 'egress' },
        bind: instance.address,
        captureMode: 'NONE',
        hosts: hosts.length > 0 ? hosts : ['~/*'],
      },
      // Nobody calls these: they bring the clusters of the services' own ports.
      ...ports.map((number) => ({
        port: { number, protocol: 'HTTP', name: `egress-${number}` },
        bind: aside(instance.address),
        captureMode: 'NONE',
        hosts,
      })),
    ],
    outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' },
  });
}

/** Another loopback address of the same instance, behind those of the services. */
function aside(address: string): string {
  const [a, b, c, d] = address.split('.');
  return [a, b, Number(c) + 128, d].join('.');
}

/** No certificates without istio-agent. */
function plainText(istio: IstioOptions): object {
  return object('PeerAuthentication', 'security.istio.io/v1', istio.namespace, 'plain-text', {
    mtls: { mode: 'DISABLE' },
  });
}

const MANAGER = 'envoy.filters.network.http_connection_manager';
const CONTEXTS = { gateway: 'GATEWAY', inbound: 'SIDECAR_INBOUND', outbound: 'SIDECAR_OUTBOUND' } as const;

/** Takes out what only Istio's build of Envoy has, and has each proxy write the access log that the claims are read from. */
function rigFilters(mesh: Mesh, istio: IstioOptions, target: RenderTarget): object[] {
  const alpn = (['gateway', 'inbound', 'outbound'] as const).map((role) => ({
    applyTo: 'HTTP_FILTER',
    match: {
      context: CONTEXTS[role],
      listener: { filterChain: { filter: { name: MANAGER, subFilter: { name: 'istio.alpn' } } } },
    },
    patch: { operation: 'REMOVE' },
  }));
  const filter = (namespace: string, name: string, labels: Record<string, string> | undefined, patches: object[]) =>
    object('EnvoyFilter', 'networking.istio.io/v1alpha3', namespace, name, {
      priority: 20,
      ...(labels ? { workloadSelector: { labels } } : {}),
      configPatches: patches,
    });
  const logs = mesh.services.flatMap(({ instances }) =>
    instances.map(({ id }) =>
      filter(istio.namespace, `log-${id}`, { instance: id }, [
        logPatch(mesh, 'inbound', target.accessLog(id)),
        logPatch(mesh, 'outbound', target.accessLog(id)),
      ]),
    ),
  );
  const gateways = mesh.gateways.map(({ id }) =>
    filter(istio.gatewayNamespace, `log-${id}`, undefined, [logPatch(mesh, 'gateway', target.accessLog(id))]),
  );
  return [filter(istio.gatewayNamespace, 'stock-envoy', undefined, alpn), ...logs, ...gateways];
}

function logPatch(mesh: Mesh, role: ChainRole, path: string): object {
  const fields = {
    time: '%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%',
    role,
    trace: '%REQ(X-REQUEST-ID)%',
    host: '%REQ(:AUTHORITY)%',
    path: '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%',
    status: '%RESPONSE_CODE%',
    flags: '%RESPONSE_FLAGS%',
    details: '%RESPONSE_CODE_DETAILS%',
    upstream: '%UPSTREAM_HOST%',
    cluster: '%UPSTREAM_CLUSTER_RAW%',
    ...laneAccessLog(mesh.tagHeader),
    served: '%DYNAMIC_METADATA(causeway:lane)%',
  };
  const log: JsonObject = {
    name: 'envoy.access_loggers.file',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog',
      path,
      log_format: { json_format: fields },
    },
  };
  const type = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
  return {
    applyTo: 'NETWORK_FILTER',
    match: { context: CONTEXTS[role], listener: { filterChain: { filter: { name: MANAGER } } } },
    patch: { operation: 'MERGE', value: { typed_config: { '@type': type, access_log: [log] } } },
  };
}

/** Whether an instance still belongs to a mesh. */
export function belongs(mesh: Mesh, id: string): boolean {
  return mesh.services.some((service) => instanceOf(service, id) !== undefined);
}

export type { Resource };
