import { X509Certificate } from 'node:crypto';
import type { PeerCertificate } from 'node:tls';
import { Client } from 'undici';
import { type NodeSecrets, readSecrets } from '../tls/secrets.ts';

/**
 * The centre's own look at an instance, by the way on which its callers reach it. Only for hosts of the mesh's own file:
 * nobody's report makes the centre call elsewhere.
 */

/** Both ways together, where both are tried: a leader's lease is not much longer. */
const TIMEOUT_MS = 1_000;

export interface Probed {
  /** `ip:port` */
  readonly host: string;
  readonly healthPath: string;
  /** Null = it takes plaintext alone. */
  readonly tls: ProbedTls | null;
}

export interface ProbedTls {
  /** Name in the hello, as callers send it. */
  readonly serverName: string;
  /** URI name that its certificate must bear. */
  readonly identity: string;
  /** Nothing is sent to it in plaintext. Else TLS is tried where plaintext gets no answer. */
  readonly only: boolean;
}

/** True: below 400. False: anything else, or no answer. Null: it could not be asked, which says nothing about it. */
export type Probe = (instance: Probed) => Promise<boolean | null>;

/** Probes with the certificate in a folder of secrets, read each time; null = there is none, so that nobody is asked by TLS. */
export function probeWith(secrets: string | null): Probe {
  return async ({ host, healthPath, tls }) => {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    if (tls === null || !tls.only) {
      const answer = await inPlaintext(host, healthPath, signal);
      if (answer !== undefined) return answer;
      if (tls === null) return false;
    }
    const own = secrets === null ? undefined : readSecrets(secrets);
    if (own === undefined || hasExpired(own)) return tls.only ? null : false;
    return byTls(host, healthPath, tls, own, signal);
  };
}

function hasExpired({ certificate }: NodeSecrets): boolean {
  return Date.parse(new X509Certificate(certificate).validTo) <= Date.now();
}

/** Undefined: no answer. */
async function inPlaintext(host: string, path: string, signal: AbortSignal): Promise<boolean | undefined> {
  const client = new Client(`http://${host}`);
  try {
    return await isWell(client, path, signal);
  } catch {
    return undefined;
  } finally {
    await client.destroy();
  }
}

async function byTls(
  host: string,
  path: string,
  { serverName, identity }: ProbedTls,
  { certificate, key, roots }: NodeSecrets,
  signal: AbortSignal,
): Promise<boolean | null> {
  const client = new Client(`https://${host}`, {
    connect: {
      servername: serverName,
      ca: roots,
      cert: certificate,
      key,
      checkServerIdentity: (_name, peer) => whyAnother(peer, identity),
    },
  });
  let met = false;
  client.once('connect', () => {
    met = true;
  });
  try {
    return await isWell(client, path, signal);
  } catch (error) {
    // It refuses our certificate: by an alert, or, since TLS 1.3 judges it after the handshake, by hanging up at once.
    const refused = (met && !signal.aborted) || /_ALERT_/.test((error as NodeJS.ErrnoException).code ?? '');
    return refused ? null : false;
  } finally {
    await client.destroy();
  }
}

async function isWell(client: Client, path: string, signal: AbortSignal): Promise<boolean> {
  const { statusCode, body } = await client.request({
    method: 'GET',
    path,
    headers: { 'user-agent': 'causeway-probe' },
    signal,
  });
  await body.dump({ limit: 16_384 });
  return statusCode < 400;
}

function whyAnother({ subjectaltname = '' }: PeerCertificate, identity: string): Error | undefined {
  if (subjectaltname.split(', ').includes(`URI:${identity}`)) return undefined;
  return new Error(`found the certificate of ${subjectaltname}, expected ${identity}`);
}
