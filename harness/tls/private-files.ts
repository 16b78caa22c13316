import { chmodSync, mkdirSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** A folder that only its owner can look into; one that exists is brought to mode 0700. */
export function privateFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chmodSync(folder, 0o700);
}

/** Writes a file of mode 0600 beside and renames it: who reads it, Envoy too, sees the old text or the new one. */
export async function writePrivate(path: string, text: string): Promise<void> {
  const aside = join(dirname(path), `.${basename(path)}.${process.pid}.new`);
  await writeFile(aside, text, { mode: 0o600 });
  await rename(aside, path);
}
