import {
  authorities,
  calleesOf,
  type Gateway,
  type Instance,
  type JsonObject,
  type Mesh,
  type Service,
} from './mesh.ts';

/** What `connection-elimination` is told by each caller; nothing in a mesh without TLS. */

type Section = Readonly<Record<string, JsonObject>>;

export function outboundTlsSection(mesh: Mesh, instance: Instance): Section {
  const caller = mesh.services.find(({ name }) => name === instance.service);
  const callees = caller ? calleesOf(mesh, caller) : [];
  return section(
    mesh,
    'outbound',
    callees.map((service) => ({ ...stateOf(service), authorities: authorities(service) })),
  );
}

/** The gateway's routes, all of them: a longer prefix of a service in plaintext takes its paths away from another. */
export function gatewayTlsSection(mesh: Mesh, gateway: Gateway | undefined): Section {
  const routes = gateway?.routes ?? [];
  const callees = mesh.services.filter(({ name }) => routes.some(({ service }) => service === name));
  return section(
    mesh,
    'gateway',
    callees.map((service) => ({
      ...stateOf(service),
      prefixes: routes.filter((route) => route.service === service.name).map(({ pathPrefix }) => pathPrefix),
    })),
  );
}

function stateOf(service: Service): JsonObject {
  const { mode, percent, pools } = service.tls ?? { mode: 'off', percent: 0, pools: 'two' };
  return { name: service.name, mode, ...(mode === 'canary' ? { percent } : {}), pools };
}

function section(mesh: Mesh, direction: 'outbound' | 'gateway', services: readonly JsonObject[]): Section {
  if (mesh.tls === null || services.length === 0) return {};
  const { sources } = mesh.trace.section;
  return {
    'connection-elimination': {
      direction,
      services,
      returnSeconds: mesh.tls.returnSeconds,
      ...(sources === undefined ? {} : { sources }),
    },
  };
}
