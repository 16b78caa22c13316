import { isIsolated } from '../../envoy-configs/isolation.ts';
import type { Instance, Mesh, Service } from '../../envoy-configs/mesh.ts';
import type { RenderedNode } from '../../envoy-configs/rendered.ts';

/** The application beside a sidecar; a gateway has none. */
export interface AppPlan {
  readonly instance: Instance;
  readonly service: Pick<Service, 'name' | 'protocol' | 'command' | 'image'>;
  /** All of its traffic is kept out: no caller is to find it healthy. */
  readonly isolated: boolean;
}

/** All that a driver needs to run one node: its Envoy's files and, for a sidecar, its application. */
export interface NodePlan {
  readonly node: RenderedNode;
  readonly app?: AppPlan;
}

/** Which half of an instance something happens to. `both` is what the loss of a machine looks like. */
export type Part = 'app' | 'sidecar' | 'both';

export interface PartStatus {
  state: 'running' | 'paused' | 'ended' | 'absent';
  pid?: number;
  /** How it ended: a signal's name or `exit code n`. */
  ended?: string;
}

export interface NodeStatus {
  id: string;
  kind: 'gateway' | 'sidecar';
  listeners: readonly string[];
  app: PartStatus;
  sidecar: PartStatus;
  /** Envoy answers `/ready` with 200. */
  ready: boolean;
}

export type Progress = (line: string) => void;

/** A line of an application's journal of POSTs; see Bookinfo's `JOURNAL`. */
export interface JournalLine {
  event: 'begin' | 'end';
  post: string;
  /** Milliseconds since 1970. */
  at: number;
}

/**
 * Runs the nodes of one mesh. Every operation returns when its effect can be observed (started = ready, killed = gone)
 * or throws with the process's last log lines; none waits without a deadline.
 */
export interface Driver {
  /** Starts all nodes in parallel and waits until every Envoy sees every host healthy. Undoes itself on failure. */
  up(plans: readonly NodePlan[], progress?: Progress): Promise<void>;
  /** Starts one further node, or starts again the parts of a known one that have ended. */
  start(plan: NodePlan): Promise<void>;
  /** Ends one node politely and forgets it. */
  stop(id: string): Promise<void>;
  /** SIGKILL. The node stays known; `revive` starts it again. */
  kill(id: string, part?: Part): Promise<void>;
  /** SIGSTOP: connections stay open, nothing answers. */
  pause(id: string, part?: Part): Promise<void>;
  resume(id: string, part?: Part): Promise<void>;
  revive(id: string): Promise<void>;
  status(): Promise<NodeStatus[]>;
  /** The application's POSTs so far, also when it has been killed. */
  journal(id: string): Promise<JournalLine[]>;
  /** Ends everything; safe to call twice. */
  down(): Promise<void>;
}

/** Joins rendered nodes with the applications that the mesh puts beside them. */
export function planOf(mesh: Mesh, nodes: readonly RenderedNode[]): NodePlan[] {
  const apps = new Map<string, AppPlan>();
  for (const { name, protocol, command, image, instances } of mesh.services) {
    for (const instance of instances) {
      const isolated = isIsolated(mesh, instance.id);
      apps.set(instance.id, { instance, service: { name, protocol, command, image }, isolated });
    }
  }
  return nodes.map((node) => {
    const app = apps.get(node.id);
    return app ? { node, app } : { node };
  });
}

/** Addresses whose hosts every caller is to find unhealthy. */
export function isolatedAddresses(plans: Iterable<NodePlan>): Set<string> {
  return new Set(Array.from(plans).flatMap(({ app }) => (app?.isolated ? [app.instance.address] : [])));
}

/** Environment of one application, the same under every driver. */
export function appEnvironment({ instance, service }: AppPlan, journal: string): Record<string, string> {
  return {
    LISTEN_HOST: instance.address,
    LISTEN_PORT: String(instance.ports.app),
    OUTBOUND_PROXY: `http://${instance.address}:${instance.ports.outbound}`,
    INSTANCE_ID: instance.id,
    SERVICE_VERSION: instance.version,
    PROTOCOL: service.protocol === 'http1' ? 'http1' : 'http2',
    JOURNAL: journal,
    ...instance.env,
  };
}

/** The name of the Bookinfo service that a command stands for, or null when it is a command of the user's own. */
export function bookinfoService({ service }: AppPlan): string | null {
  const [word, name] = service.command;
  if (word === undefined) return service.name;
  return word === 'bookinfo' ? (name ?? service.name) : null;
}
