import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import type { Mesh } from '../../envoy-configs/mesh.ts';
import { renderMesh } from '../../envoy-configs/render.ts';
import type { RenderTarget } from '../../envoy-configs/rendered.ts';
import { NeedsSuite, type UninstallStep, uninstallSteps } from '../apply/uninstall-steps.ts';
import { CommandError, EXIT } from '../cli/exit-codes.ts';
import type { Output } from '../cli/output.ts';

/** What is to be done at each step, for whoever does it. */
const TOLD: Readonly<Record<UninstallStep['name'], string>> = {
  untagged: 'no request is tagged any more; then wait until the last tagged one has ended',
  unfiltered: 'the wasm filters go, gateways first',
  prepared: 'plain clusters beside the others; wait until their hosts are healthy',
  routed: 'plain routes and listeners',
  plain: 'the clusters of the suite go; a bootstrap among the files is read at the next start',
};

/** An uninstall as files: those that change at each step, and those that nothing reads afterwards. */
export interface UninstallFiles {
  readonly steps: readonly { readonly name: string; readonly files: ReadonlyMap<string, string> }[];
  readonly dropped: readonly string[];
}

/** By absolute path, as they stand on the machine that `target` describes. Throws {@link NeedsSuite}. */
export function uninstallFiles(mesh: Mesh, target: RenderTarget): UninstallFiles {
  const installed = filesOf(mesh, target);
  let before = installed;
  const steps = uninstallSteps(mesh).map((step) => {
    const after = filesOf(step.mesh, target);
    const files = new Map([...after].filter(([path, text]) => before.get(path) !== text));
    before = after;
    return { name: step.name, files };
  });
  return { steps, dropped: [...installed.keys()].filter((path) => !before.has(path)) };
}

function filesOf(mesh: Mesh, target: RenderTarget): Map<string, string> {
  return new Map(
    renderMesh(mesh, target).flatMap((node) =>
      Object.entries(node.files).map(([path, text]) => [join(node.dir, path), text] as const),
    ),
  );
}

/**
 * `causeway render --uninstall`: for a mesh that `causeway render` has written to the same folder. Writes
 * `uninstall/<n>-<step>/…` with the paths below the folder, and `uninstall/remove.txt`; changes nothing that Envoys read.
 */
export function renderUninstall(mesh: Mesh, target: RenderTarget, folder: string, output: Output): void {
  let plan: UninstallFiles;
  try {
    plan = uninstallFiles(mesh, target);
  } catch (error) {
    if (error instanceof NeedsSuite) throw new CommandError(EXIT.invalid, error.message);
    throw error;
  }
  const root = join(folder, 'uninstall');
  rmSync(root, { recursive: true, force: true });
  const steps = plan.steps.map(({ name, files }, index) => {
    const step = join(root, `${index + 1}-${name}`);
    mkdirSync(step, { recursive: true });
    for (const [path, text] of files) {
      const place = join(step, relative(folder, path));
      mkdirSync(dirname(place), { recursive: true });
      writeFileSync(place, text);
    }
    return { folder: step, files: [...files.keys()], what: TOLD[name as UninstallStep['name']] };
  });
  const removed = join(root, 'remove.txt');
  writeFileSync(removed, plan.dropped.map((path) => `${relative(folder, path)}\n`).join(''));
  const lines = steps.map(({ folder: step, files, what }) => `${step}: ${files.length} files: ${what}`);
  output.result([...lines, `${removed}: ${plan.dropped.length} files that nothing reads any more`].join('\n'), {
    folder: root,
    steps,
    remove: plan.dropped,
  });
}
