import { createHash } from 'node:crypto';
import type { JsonObject } from './mesh.ts';

/**
 * File-based xDS: each subscription reads one file, a `DiscoveryResponse`, and reads it again when a file is *moved* into
 * its directory. Write beside and rename; a file written in place is seen half-written or not at all.
 */

const TYPE_URLS = {
  listener: 'type.googleapis.com/envoy.config.listener.v3.Listener',
  routes: 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration',
  cluster: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
  endpoints: 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment',
  extension: 'type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig',
} as const;

export type ResourceKind = keyof typeof TYPE_URLS;

/** Relative paths of a node's files. One directory per kind, so that a push of one kind wakes only its readers. */
export const PATHS = {
  bootstrap: 'bootstrap.json',
  listeners: 'lds/listeners.json',
  clusters: 'cds/clusters.json',
  routes: (name: string) => `rds/${name}.json`,
  endpoints: (cluster: string) => `eds/${cluster}.json`,
  extension: (name: string) => `ecds/${name}.json`,
} as const;

/** The text of one xDS file. Its version is the hash of its content: same content, same version, nothing to apply. */
export function discoveryFile(kind: ResourceKind, resources: readonly JsonObject[]): string {
  const typed = resources.map((resource) => ({ '@type': TYPE_URLS[kind], ...resource }));
  const version = createHash('sha256').update(JSON.stringify(typed)).digest('hex').slice(0, 16);
  return `${JSON.stringify({ version_info: version, resources: typed }, null, 2)}\n`;
}

/** Version of a file made by {@link discoveryFile}. */
export function versionOf(text: string): string {
  return (JSON.parse(text) as { version_info: string }).version_info;
}

/** Resources of a file made by {@link discoveryFile}. */
export function resourcesOf(text: string): JsonObject[] {
  return (JSON.parse(text) as { resources: JsonObject[] }).resources;
}

/** A `ConfigSource` that follows one file below a node's directory. */
export function fileSource(dir: string, path: string): JsonObject {
  return {
    resource_api_version: 'V3',
    path_config_source: {
      path: `${dir}/${path}`,
      watched_directory: { path: `${dir}/${path.slice(0, path.indexOf('/'))}` },
    },
  };
}
