import { dirname } from 'node:path';
import { stringify } from 'yaml';
import { ENVOY_IMAGE } from '../envoy/version.ts';
import { observabilityServices } from './compose-observability.ts';
import { appEnvironment, bookinfoService, type NodePlan } from './driver.ts';
import { LOG_FLUSH_MS, type StateFolder } from './state.ts';

/** First two octets of the containers' subnet: loopback addresses cannot cross network namespaces. */
export const COMPOSE_PREFIX = '172.28';

/** Image of the services when `NODE_IMAGE` names no other. */
export const NODE_IMAGE = 'node:20-slim';

/** The bundle's path in the services' image. */
const BUNDLE = '/app/bookinfo.mjs';

export interface ComposeFileOptions {
  state: StateFolder;
  wasmPath: string;
  prefix: string;
  /** Who writes logs and sockets on the host: `uid:gid`. */
  user: string;
  logLevel?: string;
}

/**
 * The compose file of a mesh, in words that docker-compose 1.29 and Compose v2 share. An instance is two containers in
 * one network namespace: its Envoy owns the address, the application joins it. Folders are mounted at the path they have
 * on the host, so that rendered files, admin sockets and logs have one name on both sides.
 */
export function composeFile(plans: readonly NodePlan[], options: ComposeFileOptions): string {
  const services: Record<string, unknown> = {};
  let gateways = 0;
  for (const plan of plans) {
    services[sidecarName(plan.node.id)] = envoyService(plan, plan.app ? 0 : gateways++, options);
    if (plan.app) services[appName(plan.node.id)] = appService(plan, options);
  }
  const file = {
    networks: { mesh: { driver: 'bridge', ipam: { config: [{ subnet: `${options.prefix}.0.0/16` }] } } },
    services: { ...services, ...observabilityServices(options.state, options.user) },
  };
  return `# Rendered by causeway. ENVOY_IMAGE and NODE_IMAGE may name other images, such as ones made locally.\n# Prometheus and Grafana start with --profile observability, on 127.0.0.1:9090 and :3000.\n${stringify(file)}`;
}

export const sidecarName = (id: string): string => `${id}-envoy`;
export const appName = (id: string): string => `${id}-app`;

/** The services' image, from whatever image has a `node` on its path. Nothing runs while it is built. */
export function dockerfile(): string {
  return [`ARG NODE_IMAGE=${NODE_IMAGE}`, `FROM \${NODE_IMAGE}`, `COPY bookinfo.mjs ${BUNDLE}`, ''].join('\n');
}

/** Gateways listen on every address of their container; theirs is `<prefix>.0.<10 + n>`, clear of the bridge at `.0.1`. */
export function gatewayAddress(prefix: string, n: number): string {
  return `${prefix}.0.${10 + n}`;
}

function envoyService({ node, app }: NodePlan, gateway: number, options: ComposeFileOptions) {
  const address = app?.instance.address ?? gatewayAddress(options.prefix, gateway);
  if (!address.startsWith(`${options.prefix}.`))
    throw new Error(`${node.id}: ${address} is not in ${options.prefix}.0.0/16`);
  const ports = app ? [] : node.listeners.map((listener) => listener.slice(listener.lastIndexOf(':') + 1));
  return {
    image: `\${ENVOY_IMAGE:-${ENVOY_IMAGE}}`,
    entrypoint: ['envoy'],
    command: [
      '--config-path',
      `${node.dir}/${node.bootstrap}`,
      '--disable-hot-restart',
      '--concurrency',
      String(node.concurrency),
      '--log-level',
      options.logLevel ?? 'warning',
      '--file-flush-interval-msec',
      String(LOG_FLUSH_MS),
      ...node.args,
    ],
    user: options.user,
    networks: { mesh: { ipv4_address: address } },
    volumes: [
      same(node.dir, 'ro'),
      same(dirname(options.wasmPath), 'ro'),
      same(dirname(node.adminSocket)),
      same(dirname(node.accessLog)),
    ],
    stop_grace_period: '3s',
    ...(ports.length > 0 ? { ports: ports.map((port) => `127.0.0.1:${port}:${port}`) } : {}),
  };
}

function appService(plan: NodePlan, { state, user }: ComposeFileOptions) {
  const { app, node } = plan;
  if (!app) throw new Error(`${node.id}: no application`);
  const service = bookinfoService(app);
  const journal = state.journal(node.id);
  const built = { context: '.', dockerfile: 'Dockerfile', args: { NODE_IMAGE: `\${NODE_IMAGE:-${NODE_IMAGE}}` } };
  return {
    ...(app.service.image === '' ? { image: 'causeway-bookinfo', build: built } : { image: app.service.image }),
    ...(service === null
      ? { command: [...app.service.command] }
      : { entrypoint: ['node', BUNDLE], command: [service] }),
    user,
    environment: appEnvironment(app, journal),
    // The application lives in its Envoy's network namespace, as the containers of a pod do.
    network_mode: `service:${sidecarName(node.id)}`,
    depends_on: [sidecarName(node.id)],
    volumes: [same(dirname(journal))],
    stop_grace_period: '3s',
  };
}

const same = (path: string, mode?: 'ro') => `${path}:${path}${mode ? `:${mode}` : ''}`;
