import { unwatchFile, watchFile } from 'node:fs';

/** How soon a change of a file is seen. Looked at by name, since files are replaced, and may not be there yet. */
const LOOK_MS = 500;

/** Calls `changed` after each change of one of the files, until the answer is called. */
export function followFiles(paths: readonly string[], changed: () => void): () => void {
  const look = () => changed();
  for (const path of paths) watchFile(path, { interval: LOOK_MS }, look);
  return () => {
    for (const path of paths) unwatchFile(path, look);
  };
}
