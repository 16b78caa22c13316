// First: the certificate library's own dependency refuses to load without it.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';
import { privateFolder, writePrivate } from './private-files.ts';

x509.cryptoProvider.set(webcrypto as never);

const SIGNING = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
/** Clocks of one mesh may differ by this much. */
const BACKDATED_MS = 5 * 60_000;
const AUTHORITY_LIFETIME_MS = 10 * 365 * 86_400_000;

/** A certificate with its key, PEM. */
export interface Identity {
  readonly certificate: string;
  readonly key: string;
}

export interface Subject {
  /** URI name, `spiffe://<mesh>/<service>`: by it the other side knows whom it speaks to. */
  readonly uri: string;
  /** Host names, for clients that check those. */
  readonly hosts: readonly string[];
  readonly lifetimeMs: number;
  /** Begin of validity, milliseconds since 1970. Default: now. */
  readonly from?: number;
}

/**
 * The mesh's own certificate authority. Its key never leaves its folder (mode 0700), in which it is made at first use.
 */
export class Authority {
  /** PEM of what everybody in the mesh trusts. */
  readonly root: string;
  private readonly certificate: x509.X509Certificate;
  private readonly key: webcrypto.CryptoKey;

  private constructor(root: string, key: webcrypto.CryptoKey) {
    this.root = root;
    this.certificate = new x509.X509Certificate(root);
    this.key = key;
  }

  static async open(folder: string, mesh: string): Promise<Authority> {
    const paths = { root: join(folder, 'root.pem'), key: join(folder, 'key.pem') };
    if (existsSync(paths.root) && existsSync(paths.key)) {
      const der = x509.PemConverter.decodeFirst(readFileSync(paths.key, 'utf8'));
      const key = await webcrypto.subtle.importKey('pkcs8', der, SIGNING, false, ['sign']);
      return new Authority(readFileSync(paths.root, 'utf8'), key);
    }
    const keys = await newKeys();
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: serialNumber(),
      name: `CN=causeway mesh ${mesh}`,
      notBefore: new Date(Date.now() - BACKDATED_MS),
      notAfter: new Date(Date.now() + AUTHORITY_LIFETIME_MS),
      signingAlgorithm: SIGNING,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    privateFolder(folder);
    await writePrivate(paths.key, await pemOf(keys.privateKey));
    await writePrivate(paths.root, certificate.toString('pem'));
    return new Authority(certificate.toString('pem'), keys.privateKey);
  }

  async issue({ uri, hosts, lifetimeMs, from = Date.now() }: Subject): Promise<Identity> {
    const keys = await newKeys();
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serialNumber(),
      subject: `CN=${hosts[0] ?? 'causeway'}`,
      issuer: this.certificate.subject,
      notBefore: new Date(from - BACKDATED_MS),
      notAfter: new Date(from + lifetimeMs),
      signingAlgorithm: SIGNING,
      publicKey: keys.publicKey,
      signingKey: this.key,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
        new x509.SubjectAlternativeNameExtension([
          { type: 'url', value: uri },
          ...hosts.map((value) => ({ type: 'dns', value }) as const),
        ]),
        await x509.AuthorityKeyIdentifierExtension.create(this.certificate.publicKey as never),
      ],
    });
    return { certificate: certificate.toString('pem'), key: await pemOf(keys.privateKey) };
  }
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(SIGNING, true, ['sign', 'verify']);
}

async function pemOf(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY');
}

/** 127 random bits, positive. */
function serialNumber(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16));
  bytes[0] = (bytes[0] ?? 0) & 0x7f;
  return Buffer.from(bytes).toString('hex');
}
