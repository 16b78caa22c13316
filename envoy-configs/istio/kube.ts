import { stringify } from 'yaml';
import type { JsonObject } from '../mesh.ts';

/** A Kubernetes object as it is written to YAML. */
export interface Resource {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels: Readonly<Record<string, string>>;
  };
  readonly spec: JsonObject;
}

/** Files for Pods. */
export interface ConfigMap {
  readonly apiVersion: 'v1';
  readonly kind: 'ConfigMap';
  readonly metadata: Resource['metadata'];
  readonly data: Readonly<Record<string, string>>;
}

const API_VERSIONS = {
  DestinationRule: 'networking.istio.io/v1',
  EnvoyFilter: 'networking.istio.io/v1alpha3',
  Gateway: 'networking.istio.io/v1',
  Sidecar: 'networking.istio.io/v1',
  TrafficExtension: 'extensions.istio.io/v1alpha1',
  VirtualService: 'networking.istio.io/v1',
  WasmPlugin: 'extensions.istio.io/v1alpha1',
} as const;

export type Kind = keyof typeof API_VERSIONS;

/** By this label everything that Causeway made is found: `kubectl delete … -l app.kubernetes.io/managed-by=causeway`. */
const LABELS = { 'app.kubernetes.io/managed-by': 'causeway' };

export function resource(kind: Kind, namespace: string, name: string, spec: JsonObject): Resource {
  return { apiVersion: API_VERSIONS[kind], kind, metadata: { name, namespace, labels: LABELS }, spec };
}

export function configMap(namespace: string, name: string, data: Readonly<Record<string, string>>): ConfigMap {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace, labels: LABELS }, data };
}

/** Several resources as one YAML text. */
export function yamlOf(resources: readonly object[]): string {
  return resources.map((item) => `---\n${stringify(item, { aliasDuplicateObjects: false, lineWidth: 120 })}`).join('');
}
