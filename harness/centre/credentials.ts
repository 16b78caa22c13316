import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import Type, { type Static } from 'typebox';
import { checkerOf } from '../config/schema-errors.ts';

/**
 * Who may speak. A file names identities; of a token it holds only the SHA-256, so that the file gives nobody away. A
 * client's certificate counts once TLS has verified it, by its first URI name, else its common name.
 */
export const CredentialsSchema = Type.Object(
  {
    credentials: Type.Array(
      Type.Object(
        {
          identity: Type.String({ minLength: 1, maxLength: 256 }),
          role: Type.Enum(['agent', 'operator']),
          tokenSha256: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$' })),
          certificate: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
          services: Type.Optional(Type.Array(Type.String(), { maxItems: 200 })),
          instances: Type.Optional(Type.Array(Type.String(), { maxItems: 2000 })),
        },
        { additionalProperties: false },
      ),
      { maxItems: 100_000 },
    ),
  },
  { additionalProperties: false },
);

export interface Identity {
  readonly name: string;
  readonly role: 'agent' | 'operator';
  /** Services that it may report on and hear of; null = all. */
  readonly services: ReadonlySet<string> | null;
  /** Ids of the instances whose proxies it is; by default the one of its own name. */
  readonly instances: ReadonlySet<string>;
}

type Entry = Static<typeof CredentialsSchema>['credentials'][number];

export class Credentials {
  readonly #tokens = new Map<string, Identity>();
  readonly #certificates = new Map<string, Identity>();

  constructor(entries: readonly Entry[]) {
    for (const entry of entries) {
      const services = entry.services === undefined ? null : new Set(entry.services);
      const instances = new Set(entry.instances ?? [entry.identity]);
      const identity = { name: entry.identity, role: entry.role, services, instances };
      if (entry.tokenSha256 !== undefined) this.#tokens.set(entry.tokenSha256, identity);
      if (entry.certificate !== undefined) this.#certificates.set(entry.certificate, identity);
    }
  }

  /** @throws Error that names file, field, what was found and what is expected */
  static read(path: string): Credentials {
    let parsed: unknown;
    try {
      parsed = JSON.parse(readFileSync(path, 'utf8'));
    } catch (error) {
      throw new Error(`${path}: ${error instanceof Error ? error.message : String(error)}`);
    }
    const [problem] = checkerOf(CredentialsSchema)(parsed);
    if (problem) {
      throw new Error(`${path}: ${problem.path.join('.')}: found ${problem.found}, expected ${problem.expected}`);
    }
    const { credentials } = parsed as Static<typeof CredentialsSchema>;
    for (const { identity, tokenSha256, certificate } of credentials) {
      if (tokenSha256 === undefined && certificate === undefined) {
        throw new Error(`${path}: ${identity}: found no credential, expected tokenSha256 or certificate`);
      }
    }
    return new Credentials(credentials);
  }

  /** Who sends the request; undefined when nobody vouches for it. */
  of(request: IncomingMessage): Identity | undefined {
    return this.#byCertificate(request) ?? this.#byToken(request.headers.authorization);
  }

  #byCertificate({ socket }: IncomingMessage): Identity | undefined {
    if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
    const { subject, subjectaltname } = socket.getPeerCertificate();
    const uri = /(?:^|, )URI:([^,]+)/.exec(subjectaltname ?? '')?.[1];
    const name = uri ?? subject?.CN;
    return typeof name === 'string' ? this.#certificates.get(name) : undefined;
  }

  /** The hash is what is looked up, so that time tells nothing of a token. */
  #byToken(header: string | undefined): Identity | undefined {
    const token = /^Bearer ([!-~]{16,512})$/i.exec(header ?? '')?.[1];
    if (token === undefined) return undefined;
    return this.#tokens.get(sha256(token));
  }
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
