import { existsSync, readFileSync } from 'node:fs';
import { ociImage, sha256 } from '../../envoy-configs/istio/oci.ts';
import { findAssets } from '../cli/assets.ts';
import { CommandError, EXIT } from '../cli/exit-codes.ts';
import type { GlobalOptions } from '../cli/options.ts';
import type { Output } from '../cli/output.ts';
import { diagnose, type KnownModule } from '../doctor/doctor.ts';
import { readDocuments } from '../doctor/files.ts';
import type { Finding } from '../doctor/finding.ts';
import { liveDocuments } from '../doctor/live.ts';

export interface DoctorOptions extends GlobalOptions {
  /** Admin interface of a running Envoy. */
  readonly live?: string;
}

/** `causeway doctor`: exit status 1 when something was found. */
export function doctor(folder: string | undefined) {
  return async (options: DoctorOptions, output: Output): Promise<void> => {
    const findings = await findingsOf(folder ?? '.', options);
    const text = findings.map(formatFinding).join('\n');
    output.result(findings.length === 0 ? 'nothing found' : `${text}\n${findings.length} found`, { findings });
    if (findings.length > 0) process.exitCode = EXIT.failed;
  };
}

async function findingsOf(path: string, options: DoctorOptions): Promise<Finding[]> {
  if (options.live === undefined && !existsSync(path)) throw new CommandError(EXIT.invalid, `${path}: no such folder`);
  const { documents, findings } = options.live === undefined ? readDocuments(path) : await liveDocuments(options.live);
  return [...findings, ...diagnose(documents, knownModule(options.wasm))];
}

/** Without a module here, references to one cannot be judged. */
function knownModule(wasm: string | undefined): KnownModule | undefined {
  if (wasm === undefined && !hasAssets()) return undefined;
  const module = readFileSync(findAssets(wasm).wasmPath);
  const version = process.env.CAUSEWAY_VERSION ?? 'development';
  return { module: sha256(module), manifest: ociImage(module, version).manifestSha256 };
}

function hasAssets(): boolean {
  try {
    findAssets();
    return true;
  } catch {
    return false;
  }
}

/** Place, field, reason; the fix on a line of its own. */
export function formatFinding({ rule, place, field, reason, fix }: Finding): string {
  return `${place}: ${field === '' ? '' : `${field}: `}${reason} [${rule}]\n  fix: ${fix}`;
}
