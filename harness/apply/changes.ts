import type { Mesh } from '../../envoy-configs/mesh.ts';
import type { RenderedNode } from '../../envoy-configs/rendered.ts';
import type { NodePlan } from '../drivers/driver.ts';

/** A running node whose files are to change while it goes on serving. */
export interface NodeUpdate {
  readonly plan: NodePlan;
  readonly before: RenderedNode;
  /** Files that are new or differ. */
  readonly files: readonly string[];
  /** Files that nothing will read any more. */
  readonly dropped: readonly string[];
}

/** How to get from what runs to what is wanted. */
export interface Changes {
  readonly added: readonly NodePlan[];
  readonly removed: readonly NodePlan[];
  /** Same id, but something changes that is read at start only: the bootstrap, the command line, the application's environment. */
  readonly replaced: readonly NodePlan[];
  readonly updated: readonly NodeUpdate[];
}

export function compare(running: readonly NodePlan[], wanted: readonly NodePlan[]): Changes {
  const before = new Map(running.map((plan) => [plan.node.id, plan]));
  const after = new Set(wanted.map((plan) => plan.node.id));
  const added: NodePlan[] = [];
  const replaced: NodePlan[] = [];
  const updated: NodeUpdate[] = [];
  for (const plan of wanted) {
    const old = before.get(plan.node.id);
    if (!old) added.push(plan);
    else if (startsDifferently(old, plan)) replaced.push(plan);
    else {
      const update = updateOf(old.node, plan);
      if (update.files.length + update.dropped.length > 0) updated.push(update);
    }
  }
  return { added, removed: running.filter((plan) => !after.has(plan.node.id)), replaced, updated };
}

function startsDifferently(old: NodePlan, plan: NodePlan): boolean {
  const essence = ({ node, app }: NodePlan) =>
    JSON.stringify([
      node.files[node.bootstrap],
      node.args,
      node.concurrency,
      app?.service ?? null,
      app?.instance ?? null,
    ]);
  return essence(old) !== essence(plan);
}

function updateOf(before: RenderedNode, plan: NodePlan): NodeUpdate {
  const { files } = plan.node;
  return {
    plan,
    before,
    files: Object.keys(files).filter((path) => files[path] !== before.files[path]),
    dropped: Object.keys(before.files).filter((path) => files[path] === undefined),
  };
}

export function isEmpty(changes: Changes): boolean {
  return changes.added.length + changes.removed.length + changes.replaced.length + changes.updated.length === 0;
}

/**
 * Updates in groups, one group after the other. Nodes that create tags hear of a new lane last, when everybody else can
 * serve it, and of a lane's end first, when everybody else still can. Where neither changes there is one group.
 */
export function inOrder(updates: readonly NodeUpdate[], before: Mesh, after: Mesh): NodeUpdate[][] {
  if (laneStory(before) === laneStory(after)) return updates.length === 0 ? [] : [[...updates]];
  const gateways = updates.filter(({ plan }) => plan.node.kind === 'gateway');
  const sidecars = updates.filter(({ plan }) => plan.node.kind !== 'gateway');
  const groups = shrinks(before, after) ? [gateways, sidecars] : [sidecars, gateways];
  return groups.filter((group) => group.length > 0);
}

/** Everything of a mesh that decides which lanes are asked for and which can serve. */
function laneStory(mesh: Mesh): string {
  const instances = mesh.services.flatMap((service) => service.instances.map(({ id }) => id));
  return JSON.stringify([mesh.lanes, mesh.rules, mesh.filters, mesh.plain, instances]);
}

/** Some lane or rule is there no more, or rules lead elsewhere, or the suite's filters stop. */
function shrinks(before: Mesh, after: Mesh): boolean {
  const lanes = new Set(after.lanes.map(({ name }) => name));
  const rules = new Set(after.rules.map((rule) => JSON.stringify(rule)));
  return (
    before.lanes.some(({ name }) => !lanes.has(name)) ||
    before.rules.some((rule) => !rules.has(JSON.stringify(rule))) ||
    (before.plain === undefined && after.plain !== undefined)
  );
}

/** One line for each node that something happens to. */
export function describeChanges(changes: Changes): string[] {
  const where = ({ node, app }: NodePlan) => (app ? `${node.id} (${app.instance.address})` : node.id);
  return [
    ...changes.added.map((plan) => `+ start  ${where(plan)}`),
    ...changes.replaced.map((plan) => `± replace ${where(plan)}`),
    ...changes.updated.map(
      ({ plan, files, dropped }) =>
        `~ update ${plan.node.id}: ${[...files, ...dropped.map((path) => `-${path}`)].join(' ')}`,
    ),
    ...changes.removed.map((plan) => `- stop   ${where(plan)}`),
  ];
}
