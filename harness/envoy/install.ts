import { envoyVersion, resolveEnvoy } from './binary.ts';
import { ENVOY_VERSION } from './version.ts';

/** `make setup`: makes sure that there is an Envoy to run and says which. */
async function main(): Promise<void> {
  const { path, source } = await resolveEnvoy({ progress: (line) => console.error(line) });
  const version = await envoyVersion(path);
  console.error(`Envoy ${version} at ${path} (${source})`);
  if (version !== ENVOY_VERSION) console.error(`note: built and tested with Envoy ${ENVOY_VERSION}`);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
});
