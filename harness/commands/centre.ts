import { randomUUID } from 'node:crypto';
import { accessSync, constants, readFileSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { obeysCentre } from '../../envoy-configs/isolation.ts';
import type { Mesh } from '../../envoy-configs/mesh.ts';
import { Centre } from '../centre/centre.ts';
import { Credentials } from '../centre/credentials.ts';
import type { Instances } from '../centre/roster.ts';
import { CentreServer, type TlsFiles } from '../centre/server.ts';
import { MemoryStore, type Store } from '../centre/store.ts';
import { CommandError, EXIT } from '../cli/exit-codes.ts';
import { type GlobalOptions, resolveOptions } from '../cli/options.ts';
import type { Output } from '../cli/output.ts';
import { loadMesh } from '../config/load.ts';

export interface CentreCommandOptions extends GlobalOptions {
  readonly address: string;
  readonly port: number;
  readonly credentials: string;
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
        obeys: obeysCentre(mesh, service, instance),
      })),
    ]),
  );
}

/** Loaded where it is wanted: every other command would load the client for nothing. */
async function redisStore(url: string): Promise<Store> {
  const { RedisStore } = await import('../centre/redis-store.ts');
  return RedisStore.connect(url);
}

/** Runs the healing centre until SIGTERM or SIGINT. State is in Redis when `REDIS_URL` is set, else in memory. */
export async function centre(options: CentreCommandOptions, output: Output): Promise<void> {
  const mesh = loadMesh(options.file, resolveOptions(options));
  const url = process.env.REDIS_URL;
  const store = url ? await redisStore(url) : new MemoryStore();
  const core = new Centre({
    store,
    instances: instancesOf(mesh),
    recovery: recoveryOf(options),
    id: randomUUID(),
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
  await new Promise((resolve) => process.once('SIGTERM', resolve).once('SIGINT', resolve));
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
