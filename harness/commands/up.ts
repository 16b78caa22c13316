import { resolveMesh } from '../../envoy-configs/resolve.ts';
import { Deployment } from '../apply/deployment.ts';
import { type DriverName, readRecord } from '../apply/record.ts';
import { findAssets } from '../cli/assets.ts';
import { centreCommand, containerPrefix, createDriver, envoyFor, superviseDriver } from '../cli/drivers.ts';
import { CommandError, EXIT } from '../cli/exit-codes.ts';
import { aborted, interruptible } from '../cli/interrupt.ts';
import { type GlobalOptions, resolveOptions, stateFolder } from '../cli/options.ts';
import type { Output } from '../cli/output.ts';
import { loadConfig } from '../config/load.ts';
import type { Driver } from '../drivers/driver.ts';
import type { StateFolder } from '../drivers/state.ts';
import { isSupervised } from '../drivers/supervisor.ts';
import { keepFresh } from '../tls/renewal.ts';

export interface UpOptions extends GlobalOptions {
  readonly driver: DriverName;
  readonly foreground?: boolean;
}

/** `causeway up`: starts the mesh; returns when every Envoy is ready, or with --foreground when it has ended. */
export async function up(options: UpOptions, output: Output): Promise<void> {
  const loaded = loadConfig(options.file);
  const assets = findAssets(options.wasm);
  const state = stateFolder({ ...options, mesh: loaded.config.mesh });
  if (readRecord(state) && (await isSupervised(state))) {
    throw new CommandError(
      EXIT.state,
      `mesh ${loaded.config.mesh} runs already; \`causeway apply\` changes it, \`causeway down\` ends it`,
    );
  }
  await interruptible(async (signal) => {
    const prefix = containerPrefix(options.driver, options.network);
    const envoy = await envoyFor(options.driver, output.progress);
    const mesh = resolveMesh(loaded.config, resolveOptions(options, prefix));
    const centre = centreCommand(mesh, loaded.file, options.network, state);
    if (centre && options.driver !== 'process') {
      throw new CommandError(EXIT.invalid, 'centre.start: found it with containers, expected local processes');
    }
    const own = { driver: options.driver, mesh: loaded.config.mesh, envoy, prefix: prefix ?? '', ...assets };
    const spec = { ...own, ...(centre ? { centre } : {}) };
    const driver = options.foreground ? createDriver(spec, state) : await superviseDriver(spec, state);
    const starting = Deployment.start(
      {
        state,
        driver,
        driverName: options.driver,
        wasmPath: assets.wasmPath,
        resolve: resolveOptions(options, prefix),
      },
      loaded,
      output.progress,
    );
    const deployment = await orEnd(starting, driver, signal, state);
    const gateways = deployment.mesh.gateways.map(({ id, address, port }) => ({
      id,
      url: `http://${address === '0.0.0.0' ? '127.0.0.1' : address}:${port}`,
    }));
    output.result(
      [
        `mesh ${deployment.mesh.name}: ${deployment.plans.length} Envoys run`,
        ...gateways.map(({ id, url }) => `${id}: ${url}`),
      ].join('\n'),
      { mesh: deployment.mesh.name, gateways, nodes: deployment.plans.map(({ node }) => node.id), state: state.root },
    );
    if (!options.foreground) return;
    const ended = keepFresh(state, output.progress);
    await aborted(signal);
    ended();
    await deployment.down();
  });
}

/** Waits for the start; on Ctrl-C, and when it fails, nothing stays. */
async function orEnd<T>(starting: Promise<T>, driver: Driver, signal: AbortSignal, state: StateFolder): Promise<T> {
  try {
    return await Promise.race([
      starting,
      aborted(signal).then(() => {
        throw signal.reason;
      }),
    ]);
  } catch (error) {
    await driver.down().catch(() => undefined);
    await starting.catch(() => undefined);
    await driver.down().catch(() => undefined);
    await state.sweep();
    throw error;
  }
}
