import { authorities, type Mesh } from '../../envoy-configs/mesh.ts';
import { type LaneInfo, NOBODY, OTHER, placeId } from './model.ts';

/** A proxy of the mesh and where to ask it. */
export interface Node {
  readonly id: string;
  readonly adminSocket: string;
  readonly accessLog: string;
}

export interface PlaceInfo {
  readonly id: string;
  readonly service: string;
  readonly lane: string;
  readonly kind: 'gateway' | 'service';
  readonly entrance: boolean;
  readonly versions: readonly string[];
  readonly instances: readonly string[];
}

/** Looked-up form of a mesh. */
export class Places {
  readonly mesh: Mesh;
  readonly lanes: readonly LaneInfo[];
  readonly byId: ReadonlyMap<string, PlaceInfo>;
  private readonly ofProxy = new Map<string, PlaceInfo>();
  private readonly services = new Map<string, string>();
  /** By name, and by the name as metrics spell it. */
  private readonly laneNames: ReadonlyMap<string, string>;

  constructor(mesh: Mesh) {
    this.mesh = mesh;
    this.lanes = [
      { name: mesh.baseline, mode: 'baseline', chain: [] },
      ...mesh.lanes.map(({ name, mode, chain }) => ({ name, mode, chain })),
    ];
    this.laneNames = new Map(
      this.lanes.flatMap(({ name }) => [
        [name.replaceAll('.', '_'), name],
        [name, name],
      ]),
    );
    const places = [...gatewayPlaces(mesh), ...servicePlaces(mesh)];
    this.byId = new Map(places.map((place) => [place.id, place]));
    for (const place of places) for (const proxy of place.instances) this.ofProxy.set(proxy, place);
    for (const service of mesh.services) {
      for (const authority of authorities(service)) this.services.set(authority, service.name);
    }
  }

  of(proxy: string): PlaceInfo | undefined {
    return this.ofProxy.get(proxy);
  }

  /** Services behind a gateway; empty for a sidecar. */
  behind(proxy: string): readonly string[] {
    const gateway = this.mesh.gateways.find(({ id }) => id === proxy);
    return [...new Set(gateway?.routes.map(({ service }) => service) ?? [])];
  }

  /** Service that a gateway's route leads to. */
  routed(proxy: string, path: string | null): string {
    const routes = this.mesh.gateways.find(({ id }) => id === proxy)?.routes ?? [];
    return routes.find(({ pathPrefix }) => path?.startsWith(pathPrefix))?.service ?? OTHER;
  }

  /** Service that a `Host` names. */
  named(host: string | null): string {
    return this.services.get((host ?? '').toLowerCase()) ?? OTHER;
  }

  serviceOf(instance: string | null): string | undefined {
    return instance === null ? undefined : this.ofProxy.get(instance)?.service;
  }

  /** Only names of the configuration are shown as lanes; a header may say anything. */
  lane(name: string): string {
    return name === NOBODY ? name : (this.laneNames.get(name) ?? OTHER);
  }

  isService(name: string): boolean {
    return this.mesh.services.some((service) => service.name === name);
  }
}

function gatewayPlaces({ gateways, baseline }: Mesh): PlaceInfo[] {
  return gateways.map(({ id }) => ({
    id,
    service: id,
    lane: baseline,
    kind: 'gateway',
    entrance: false,
    versions: [],
    instances: [id],
  }));
}

function servicePlaces({ services }: Mesh): PlaceInfo[] {
  return services.flatMap(({ name: service, entrance, instances }) =>
    [...new Set(instances.map(({ lane }) => lane))].map((lane): PlaceInfo => {
      const here = instances.filter((instance) => instance.lane === lane);
      return {
        id: placeId(service, lane),
        service,
        lane,
        kind: 'service',
        entrance,
        versions: [...new Set(here.map(({ version }) => version))],
        instances: here.map(({ id }) => id),
      };
    }),
  );
}
