import type { JsonObject } from '../mesh.ts';
import { type Resource, resource } from './kube.ts';

/** One element of an EnvoyFilter's `configPatches`. */
export type Patch = JsonObject & { readonly applyTo: string; readonly match: JsonObject; readonly patch: JsonObject };

/** After EnvoyFilters without a priority of their own (0), so that what they insert is there when ours look for it. */
const PRIORITY = 10;

/** `selector`: only these Pods; without it all of the namespace. */
export function envoyFilter(
  name: string,
  namespace: string,
  patches: readonly Patch[],
  selector?: Readonly<Record<string, string>>,
): Resource {
  return resource('EnvoyFilter', namespace, name, {
    priority: PRIORITY,
    ...(selector === undefined ? {} : { workloadSelector: { labels: selector } }),
    configPatches: patches,
  });
}
