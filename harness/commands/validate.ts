import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { renderMesh, staticForm } from '../../envoy-configs/render.ts';
import type { RenderedNode } from '../../envoy-configs/rendered.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import { issueTokens } from '../centre/tokens.ts';
import { findAssets } from '../cli/assets.ts';
import { CommandError, EXIT } from '../cli/exit-codes.ts';
import { type GlobalOptions, resolveOptions } from '../cli/options.ts';
import type { Output } from '../cli/output.ts';
import { loadConfig } from '../config/load.ts';
import { StateFolder } from '../drivers/state.ts';
import { resolveEnvoy } from '../envoy/binary.ts';
import { validateEnvoy } from '../envoy/launcher.ts';
import { issueSecrets } from '../tls/secrets.ts';

export interface ValidateOptions extends GlobalOptions {
  /** Without it only the file itself is checked. */
  readonly envoy?: boolean;
}

export interface Verdict {
  readonly id: string;
  readonly ok: boolean;
  /** What Envoy and the filters said, when they refused. */
  readonly reason: string;
}

/** `causeway validate`: the file, then what is rendered from it, by Envoy itself: it starts the filters too. */
export async function validate(options: ValidateOptions, output: Output): Promise<void> {
  const { config } = loadConfig(options.file);
  const mesh = resolveMesh(config, resolveOptions(options));
  if (options.envoy === false) {
    output.result(`${options.file}: valid`, { file: options.file, nodes: [] });
    return;
  }
  const { wasmPath } = findAssets(options.wasm);
  const { path: envoy } = await resolveEnvoy({ progress: output.progress });
  const folder = mkdtempSync(join(tmpdir(), 'causeway-validate-'));
  try {
    const state = new StateFolder(folder);
    // Envoy asks for certificates before anything else; these are thrown away with the folder.
    await state.create();
    await issueSecrets(mesh, state);
    await issueTokens(mesh, state);
    const nodes = renderMesh(mesh, state.target(wasmPath));
    const verdicts: Verdict[] = [];
    for (const node of nodes) {
      output.progress(`${verdicts.length + 1}/${nodes.length} ${node.id}`);
      verdicts.push(await validateNode(envoy, node));
    }
    const refused = verdicts.filter(({ ok }) => !ok);
    if (refused.length > 0) {
      throw new CommandError(
        EXIT.invalid,
        refused.map(({ id, reason }) => `${id}: Envoy refuses it\n${reason}`).join('\n'),
      );
    }
    output.result(`${options.file}: valid; Envoy accepts all ${nodes.length} nodes`, {
      file: options.file,
      nodes: verdicts,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What Envoy says to one rendered node. Writes below the node's directory. */
export async function validateNode(envoy: string, node: RenderedNode): Promise<Verdict> {
  mkdirSync(node.dir, { recursive: true });
  const path = join(node.dir, 'static.json');
  writeFileSync(path, staticForm(node, join(node.dir, 'admin.sock')));
  const { ok, output } = await validateEnvoy(envoy, path);
  return { id: node.id, ok, reason: ok ? '' : complaints(output) };
}

function complaints(output: string): string {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  const loud = lines.filter((line) => /\]\[(warning|error|critical)\]|^error|causeway: /i.test(line));
  return (loud.length > 0 ? loud : lines).slice(-8).join('\n');
}
