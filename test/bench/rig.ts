import { request } from 'undici';
import { ADDRESS, answeringListener, bootstrap, listener, plainCluster, plainRoute, SEEN } from './config.ts';
import { type MeasuredEnvoy, startMeasured } from './envoy.ts';
import { knownId, type RequestShape, writeScript } from './load.ts';
import {
  AUTHORITY,
  laneClusters,
  type MeshSize,
  NAMES,
  outboundRoutes,
  type Profile,
  TAG_HEADER,
  type Variant,
} from './profiles.ts';
import type { Measurable } from './rounds.ts';

/** One chain under one kind of load. */
export interface Case extends Measurable {
  readonly profile: Profile;
  readonly variant: Variant;
  /** The tag that must reach the upstream; null = none. */
  readonly tag: string | null;
}

/** CPU lists: what is measured, and everything else. */
export interface Pinning {
  measured: string;
  rest: string;
}

export const UPSTREAM_PORT = 7700;
const FIRST_PORT = 7710;

const BROWSER = { 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64) bench', accept: 'application/json' };

const SHAPES = {
  /** From another sidecar: tagged, a trace that is new here. */
  tagged: { path: '/reviews/1', ids: 'fresh', headers: { ...BROWSER, 'x-request-id': '{id}', [TAG_HEADER]: 'dev1' } },
  /** The same with ids that calls of the application will have. */
  teaching: { path: '/reviews/1', ids: 'known', headers: { ...BROWSER, 'x-request-id': '{id}', [TAG_HEADER]: 'dev1' } },
  /** A call of the application, which forwards the trace id and knows no tags. */
  call: {
    path: '/reviews/1',
    ids: 'known',
    headers: { ...BROWSER, host: AUTHORITY, 'x-request-id': '{id}', 'end-user': 'dev1' },
  },
  /** A call that is tagged already. */
  taggedCall: {
    path: '/reviews/1',
    ids: 'known',
    headers: { ...BROWSER, host: AUTHORITY, 'x-request-id': '{id}', 'end-user': 'dev1', [TAG_HEADER]: 'dev1' },
  },
} satisfies Record<string, RequestShape>;

/** Variants beside those that learn whose calls arrive with a tag. */
const TAGGED: readonly string[] = [NAMES.tagging, NAMES.lua, NAMES.fallback];

export interface Rig {
  readonly cases: readonly Case[];
  stop(): Promise<void>;
}

export function startUpstream(pinning: Pinning): Promise<MeasuredEnvoy> {
  const listeners = [answeringListener(UPSTREAM_PORT, TAG_HEADER)];
  return startMeasured({ name: 'upstream', cpus: pinning.rest, bootstrap: bootstrap(listeners, []) });
}

/**
 * One Envoy with a listener for every case, so that all are measured in the same process with the same code in the same
 * place, and only one of them has traffic at a time.
 */
export async function startRig(variants: readonly Variant[], size: MeshSize, pinning: Pinning): Promise<Rig> {
  const scripts = Object.fromEntries(
    Object.entries(SHAPES).map(([name, shape]) => [name, writeScript(name, shape)]),
  ) as Record<keyof typeof SHAPES, string>;
  const listeners: object[] = [];
  const clusters: object[] = [plainCluster('upstream', UPSTREAM_PORT), ...laneClusters('reviews', size, UPSTREAM_PORT)];
  clusters.push(...laneClusters('reviews-healed', size, UPSTREAM_PORT, true));
  const cases: Omit<Case, 'sut'>[] = [];
  variants.forEach((variant, n) => {
    const port = FIRST_PORT + 3 * n;
    const url = (at: number): string => `http://${ADDRESS}:${at}`;
    const teach = variant.learns ? { url: url(port), script: scripts.teaching } : null;
    listeners.push(
      // Reached as every instance of the callee.
      listener({ name: `in${n}`, port, filters: variant.inbound, routes: [plainRoute('upstream')] }, '0.0.0.0'),
      listener({
        name: `out${n}`,
        port: port + 1,
        filters: variant.outbound,
        routes: outboundRoutes(variant, calleeOf(variant), size),
      }),
      listener({
        name: `hop${n}`,
        port: port + 2,
        filters: variant.outbound,
        routes: outboundRoutes(variant, `callee${n}`, size),
      }),
    );
    clusters.push(...(variant.lanes ? laneClusters(`callee${n}`, size, port) : [plainCluster(`callee${n}`, port)]));
    const call = variant.name === NAMES.fallback ? scripts.taggedCall : scripts.call;
    const tags = variant.learns || TAGGED.includes(variant.name);
    const tag = tags ? 'dev1' : null;
    const load = { inbound: { script: scripts.tagged, teach: null, tag: 'dev1' }, call: { script: call, teach, tag } };
    if (variant.profiles.includes('inbound'))
      cases.push({ profile: 'inbound', url: url(port), variant, ...load.inbound });
    if (variant.profiles.includes('outbound'))
      cases.push({ profile: 'outbound', url: url(port + 1), variant, ...load.call });
    if (variant.profiles.includes('hop')) cases.push({ profile: 'hop', url: url(port + 2), variant, ...load.call });
  });
  const sut = await startMeasured({
    name: 'measured',
    cpus: pinning.measured,
    bootstrap: bootstrap(listeners, clusters),
  });
  return { cases: cases.map((one) => ({ ...one, sut })), stop: () => sut.stop() };
}

function calleeOf({ lanes, healing }: Variant): string {
  if (!lanes) return 'upstream';
  return healing ? 'reviews-healed' : 'reviews';
}

/** Throws unless one request through the case arrives with the tag that it should have, at an instance of its lane. */
export async function probe(one: Case, size: MeshSize): Promise<void> {
  const known = one.profile !== 'inbound';
  const tagged = !known || one.variant.name === NAMES.fallback;
  const headers = {
    host: AUTHORITY,
    'x-request-id': knownId(7),
    'end-user': 'dev1',
    ...(tagged ? { [TAG_HEADER]: 'dev1' } : {}),
  };
  const answer = await request(`${one.url}/reviews/1`, { headers, headersTimeout: 10_000 });
  await answer.body.dump();
  const seen = answer.headers[SEEN.tag];
  const found = seen === undefined || seen === '' || seen === '-' ? null : seen;
  const what = `${one.profile}, ${one.variant.name}`;
  if (answer.statusCode !== 200) throw new Error(`${what}: status ${answer.statusCode}, expected 200`);
  if (found !== one.tag) throw new Error(`${what}: tag ${found} reached the upstream, expected ${one.tag}`);
  if (one.profile !== 'outbound' || !one.variant.lanes) return;
  const lane = size.lanes.indexOf(one.tag ?? '');
  const address = String(answer.headers[SEEN.address]);
  const host = Number(address.split('.')[3]) + 256 * Number(address.split('.')[2]);
  const right = lane === -1 ? host >= size.lanes.length : host === lane;
  if (!right) throw new Error(`${what}: host number ${host} answered, expected the lane of tag ${one.tag}`);
}
