import { laneScheme } from '../../envoy-configs/clusters.ts';
import type { JsonObject, Mesh } from '../../envoy-configs/mesh.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import type { CausewayConfig } from '../../envoy-configs/schema.ts';
import { inboundSections, outboundSections } from '../../envoy-configs/sections.ts';

/** Sections of a mesh in which every filter has something to do, in the builders' own rendering. */

const CALLER = 'productpage';

/** What the measured mesh consists of, in the rig's words. */
export interface WholeMesh {
  readonly callee: string;
  readonly baseline: string;
  readonly lanes: readonly string[];
  readonly rules: readonly object[];
  /** `address:port` of the callee's hosts, lanes first. */
  readonly hosts: readonly { readonly address: string; readonly port: number; readonly lane: string }[];
}

/** The plugin configuration of one side of a sidecar: of an instance of the callee inbound, of its caller outbound. */
export function wholeSections(side: 'inbound' | 'outbound', wanted: WholeMesh): JsonObject {
  const mesh = meshOf(wanted);
  const instanceOf = (name: string) => {
    const [first] = mesh.services.find((service) => service.name === name)?.instances ?? [];
    if (first === undefined) throw new Error(`no instance of ${name}`);
    return first;
  };
  if (side === 'inbound') return inboundSections(mesh, instanceOf(wanted.callee));
  const callees = mesh.services.filter(({ name }) => name === wanted.callee);
  return outboundSections(mesh, laneScheme(mesh), instanceOf(CALLER), callees);
}

function meshOf({ callee, baseline, lanes, rules, hosts }: WholeMesh): Mesh {
  const config = {
    mesh: 'bench',
    baseline,
    gateways: [{ name: 'gateway', routes: [{ prefix: '/', service: CALLER }] }],
    services: {
      [CALLER]: { calls: [callee], instances: { [baseline]: {} } },
      [callee]: {
        entrance: true,
        calls: [],
        overload: {},
        limits: { perSecond: 1_000_000, adaptive: {} },
        breaker: {},
        healing: true,
        instances: Object.fromEntries([baseline, ...lanes].map((lane) => [lane, {}])),
      },
    },
    lanes: Object.fromEntries(lanes.map((lane) => [lane, {}])),
    rules: rules.map((rule) => ({ ...rule, at: 'sidecar', entrance: callee })),
    priorities: [{ class: 1, match: { header: { name: 'end-user', exact: 'dev1' } } }],
    isolation: {},
    tls: {},
  } as unknown as CausewayConfig;
  const mesh = resolveMesh(config);
  const instances = hosts.map(({ address, port, lane }, number) => ({
    ...mesh.services.find(({ name }) => name === callee)?.instances.find((instance) => instance.lane === lane),
    id: `${callee}-${number}`,
    address,
    ports: { inbound: port },
  }));
  return {
    ...mesh,
    services: mesh.services.map((service) =>
      service.name === callee ? { ...service, instances } : service,
    ) as Mesh['services'],
  };
}
