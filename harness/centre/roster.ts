import type { Probed } from './probe.ts';

/** The instances that the mesh's file names: the centre speaks of no others. */

export interface KnownInstance extends Probed {
  readonly instance: string;
  /** Its proxy obeys when the centre isolates it. */
  readonly obeys: boolean;
}

/** By service. */
export type Instances = ReadonlyMap<string, readonly KnownInstance[]>;

export class Roster {
  #instances: Instances = new Map();
  #byHost: ReadonlyMap<string, KnownInstance> = new Map();
  #services: ReadonlyMap<string, string> = new Map();

  constructor(instances: Instances) {
    this.replace(instances);
  }

  replace(instances: Instances): void {
    const all = [...instances].flatMap(([service, some]) => some.map((one) => [service, one] as const));
    this.#instances = instances;
    this.#byHost = new Map(all.map(([service, one]) => [`${service}|${one.host}`, one]));
    this.#services = new Map(all.map(([service, one]) => [one.instance, service]));
  }

  has(service: string): boolean {
    return this.#instances.has(service);
  }

  of(service: string): readonly KnownInstance[] {
    return this.#instances.get(service) ?? [];
  }

  at(service: string, host: string): KnownInstance | undefined {
    return this.#byHost.get(`${service}|${host}`);
  }

  /** An instance by its id, with its service. */
  named(id: string): { readonly service: string; readonly known: KnownInstance } | undefined {
    const service = this.#services.get(id);
    const known = service === undefined ? undefined : this.of(service).find(({ instance }) => instance === id);
    return service === undefined || known === undefined ? undefined : { service, known };
  }
}
