import { readRecord } from '../apply/record.ts';
import type { StateFolder } from '../drivers/state.ts';
import { issueSecrets } from './secrets.ts';

const LOOK_EVERY_MS = 60_000;

/** Renews the certificates of a running mesh while this process lives; returns what ends it. `said` gets one line per renewal. */
export function keepFresh(state: StateFolder, said: (line: string) => void): () => void {
  let busy = false;
  const look = async () => {
    const mesh = readRecord(state)?.mesh;
    if (busy || !mesh || mesh.tls === null) return;
    busy = true;
    try {
      const issued = await issueSecrets(mesh, state);
      if (issued.length > 0) said(`renewed certificates: ${issued.join(', ')}`);
    } catch (error) {
      said(`certificates could not be renewed: ${(error as Error).message}`);
    } finally {
      busy = false;
    }
  };
  const timer = setInterval(() => void look(), LOOK_EVERY_MS);
  timer.unref();
  return () => clearInterval(timer);
}
