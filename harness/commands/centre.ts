import { randomUUID } from 'node:crypto';
import { accessSync, constants, readFileSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { obeysCentre } from '../../envoy-configs/isolation.ts';
import type { Instance, Mesh, Service } from '../../envoy-configs/mesh.ts';
import { identityOf, secretsFolder } from '../../envoy-configs/tls.ts';
import { readRecord, recordPath } from '../apply/record.ts';
import { Centre } from '../centre/centre.ts';
import { Credentials } from '../centre/credentials.ts';
import { followFiles } from '../centre/follow.ts';
import { type ProbedTls, probeWith } from '../centre/probe.ts';
import type { Instances } from '../centre/roster.ts';
import { CentreServer, type TlsFiles } from '../centre/server.ts';
import { MemoryStore, type Store } from '../centre/store.ts';
import { CommandError, EXIT } from '../cli/exit-codes.ts';
import { type GlobalOptions, resolveOptions } from '../cli/options.ts';
import type { Output } from '../cli/output.ts';
import { loadMesh } from '../config/load.ts';
import { StateFolder } from '../drivers/state.ts';

export interface CentreCommandOptions extends GlobalOptions {
  readonly address: string;
  readonly port: number;
  readonly credentials: string;
  /** State folder of the mesh, where it runs on this machine. */
  readonly deployment?: string;
  /** Folder of the certificate by which instances are probed over TLS. Default: the centre's own in `deployment`. */
  readonly probeSecrets?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
  readonly recoverCommand?: string;
  readonly recoverWebhook?: string;
  readonly recover?: boolean;
}

/** Every instance of the mesh as callers know it. */
export function instancesOf(mesh: Mesh): Instances {
  return new Map(
    mesh.services.map((service) => [
      service.name,
      service.instances.map((instance) => ({
        host: `${instance.address}:${instance.ports.inbound}`,
        instance: instance.id,
        healthPath: service.healthCheck.path,
        tls: probedTls(mesh, service, instance),
        obeys: obeysCentre(mesh, service, instance),
      })),
    ]),
  );
}

/** By TLS where the calls go by it: an instance may refuse plaintext, and nobody on the way is to learn anything. */
function probedTls(mesh: Mesh, { name, tls }: Service, { tlsReady }: Instance): ProbedTls | null {
  if (tls === null || !tlsReady) return null;
  return { serverName: name, identity: identityOf(mesh.name, name), only: tls.mode === 'on' };
}

function probeSecrets({ probeSecrets: given, deployment }: CentreCommandOptions): string | null {
  return given ?? (deployment === undefined ? null : secretsFolder(new StateFolder(deployment).centre));
}

/** Loaded where it is wanted: every other command would load the client for nothing. */
async function redisStore(url: string): Promise<Store> {
  const { RedisStore } = await import('../centre/redis-store.ts');
  return RedisStore.connect(url);
}

/**
 * The mesh as it runs, where that is known: `apply` gives instances that stay the addresses that they have. Else as the file has it.
 *
 * @throws ConfigError of a file that is none
 */
function currentMesh(options: CentreCommandOptions): Mesh {
  const running = options.deployment === undefined ? undefined : readRecord(new StateFolder(options.deployment));
  return running?.mesh ?? loadMesh(options.file, resolveOptions(options));
}

/** Takes over what changes in the files; what cannot be read changes nothing. Ends by the answer. */
function keepCurrent(options: CentreCommandOptions, core: Centre, server: CentreServer, output: Output): () => void {
  const take = (what: string, work: () => void) => {
    try {
      work();
      core.metrics.count('reloads_total', { result: 'taken' });
    } catch (error) {
      core.metrics.count('reloads_total', { result: 'refused' });
      output.progress(`${what}: not taken over: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  const record = options.deployment === undefined ? [] : [recordPath(new StateFolder(options.deployment))];
  const ends = [
    followFiles([options.file, ...record], () => take('the mesh', () => core.learn(instancesOf(currentMesh(options))))),
    followFiles([options.credentials], () =>
      take('credentials', () => server.trust(Credentials.read(options.credentials))),
    ),
  ];
  return () => {
    for (const end of ends) end();
  };
}

/** Runs the healing centre until SIGTERM or SIGINT. State is in Redis when `REDIS_URL` is set, else in memory. */
export async function centre(options: CentreCommandOptions, output: Output): Promise<void> {
  const mesh = currentMesh(options);
  const url = process.env.REDIS_URL;
  const store = url ? await redisStore(url) : new MemoryStore();
  const core = new Centre({
    store,
    instances: instancesOf(mesh),
    recovery: recoveryOf(options),
    id: randomUUID(),
    probe: probeWith(probeSecrets(options)),
  });
  const tls = tlsOf(options);
  const server = await CentreServer.start({
    centre: core,
    credentials: Credentials.read(options.credentials),
    address: options.address,
    port: options.port,
    version: process.env.CAUSEWAY_VERSION ?? 'development',
    ...(tls ? { tls } : {}),
  });
  const scheme = tls ? 'https' : 'http';
  output.result(`the healing centre of ${mesh.name} is at ${scheme}://${options.address}:${server.port}`, {
    address: options.address,
    port: server.port,
    state: url ? 'redis' : 'memory',
  });
  const forget = keepCurrent(options, core, server, output);
  await new Promise((resolve) => process.once('SIGTERM', resolve).once('SIGINT', resolve));
  forget();
  await server.stop();
  await store.close();
}

function recoveryOf(options: CentreCommandOptions) {
  const { recoverCommand, recoverWebhook } = options;
  if (recoverCommand !== undefined) {
    if (!isAbsolute(recoverCommand)) throw invalid('--recover-command', recoverCommand, 'an absolute path');
    try {
      accessSync(recoverCommand, constants.X_OK);
    } catch {
      throw invalid('--recover-command', recoverCommand, 'a program that may be run');
    }
  }
  if (recoverWebhook !== undefined && !/^https?:\/\/\S+$/.test(recoverWebhook)) {
    throw invalid('--recover-webhook', recoverWebhook, 'an http or https URL');
  }
  return {
    apply: options.recover ?? false,
    ...(recoverCommand === undefined ? {} : { command: recoverCommand }),
    ...(recoverWebhook === undefined ? {} : { webhook: recoverWebhook }),
  };
}

function tlsOf({ tlsCert, tlsKey, tlsCa }: CentreCommandOptions): TlsFiles | undefined {
  if (tlsCert === undefined && tlsKey === undefined && tlsCa === undefined) return undefined;
  if (tlsCert === undefined || tlsKey === undefined || tlsCa === undefined) {
    throw new CommandError(EXIT.invalid, '--tls-cert, --tls-key and --tls-ca: found some, expected all three');
  }
  return { cert: readFileSync(tlsCert), key: readFileSync(tlsKey), ca: readFileSync(tlsCa) };
}

function invalid(option: string, found: string, expected: string): CommandError {
  return new CommandError(EXIT.invalid, `${option}: found ${found}, expected ${expected}`);
}
