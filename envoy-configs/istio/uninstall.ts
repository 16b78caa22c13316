import type { Mesh } from '../mesh.ts';
import type { Resource } from './kube.ts';
import type { IstioFile } from './render.ts';

/** One step of taking the suite out of a mesh on Istio. */
export interface IstioUninstallStep {
  /** For the person who does it; may ask for something that no command of ours can do. */
  readonly what: string;
  /** For `kubectl`, in order. */
  readonly commands: readonly string[];
}

/**
 * What to delete of a rendering, in order: tags end first, by the user's own edit; the lanes' own workloads go before the
 * routes that keep everybody else away from them, what routes refer to after the routes, and the gateway's filter last, since
 * it takes off what outsiders send. Every resource is in exactly one step.
 */
export function istioUninstall(files: readonly IstioFile[], mesh: Mesh): IstioUninstallStep[] {
  const all = files.flatMap(({ resources }) => resources);
  const kinds = (...names: readonly string[]) => all.filter(({ kind }) => names.includes(kind));
  const edgeNames = mesh.gateways.flatMap(({ id }) => [`causeway-${id}`, `causeway-lanes-${id}`]);
  const plugins = kinds('EnvoyFilter', 'TrafficExtension', 'WasmPlugin');
  const edges = plugins.filter(({ metadata }) => edgeNames.includes(metadata.name));
  const step = (what: string, resources: readonly Resource[] = []) => ({ what, commands: resources.map(deletion) });
  return [
    step(
      '1. Take `rules` out of causeway.yaml, render, apply: no new request is tagged. Wait until tagged ones have ended.',
    ),
    step(`2. Delete the Deployments of lanes, to which a plain Service would lead: ${laneWorkloads(mesh) || 'none'}.`),
    step('3. The routes. A gateway that is to go on needs a VirtualService of yours before.', kinds('VirtualService')),
    step(
      '4. The filters of the sidecars.',
      plugins.filter((resource) => !edges.includes(resource)),
    ),
    step('5. What the routes referred to.', kinds('DestinationRule', 'Sidecar')),
    step('6. The filters of the gateways, and the gateways.', [...edges, ...kinds('Gateway')]),
    {
      what: '7. The override of the bootstrap, when no Pod names it in an annotation any more: it has labels of metrics and the agent.',
      commands: files.flatMap(({ configMaps = [] }) => configMaps.map(deletion)),
    },
  ];
}

function laneWorkloads(mesh: Mesh): string {
  return mesh.services
    .flatMap(({ name, instances }) => {
      const lanes = new Set(instances.map(({ lane }) => lane).filter((lane) => lane !== mesh.baseline));
      return [...lanes].map((lane) => `${name} of ${lane}`);
    })
    .join(', ');
}

function deletion({ kind, metadata }: Pick<Resource, 'metadata'> & { readonly kind: string }): string {
  return `kubectl delete ${kind.toLowerCase()} ${metadata.name} --namespace ${metadata.namespace} --ignore-not-found`;
}
