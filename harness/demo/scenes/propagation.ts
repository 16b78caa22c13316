import type { CausewayConfig } from '../../../envoy-configs/schema.ts';
import type { Scene } from '../scene.ts';

interface Way {
  name: string;
  headers: Readonly<Record<string, string>>;
  edit(config: CausewayConfig): void;
}

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

const source = (header: string) => (config: CausewayConfig) => {
  config.trace = { ...config.trace, sources: [{ header }] };
};

/** Ways by which a tag gets through applications that pass on trace headers, but no lane. */
const WAYS: readonly Way[] = [
  {
    name: 'traceparent, with a new span at every hop',
    headers: { traceparent: `00-${TRACE}-${SPAN}-01` },
    edit: source('traceparent'),
  },
  { name: 'b3', headers: { b3: `${TRACE}-${SPAN}-1` }, edit: source('b3') },
  {
    name: 'x-b3-traceid',
    headers: { 'x-b3-traceid': TRACE, 'x-b3-spanid': SPAN, 'x-b3-sampled': '1' },
    edit: source('x-b3-traceid'),
  },
  {
    name: 'x-request-id, tracing at 0 % inbound and 100 % outbound',
    headers: {},
    edit: (config) => {
      config.tracing = { inbound: 0, outbound: 100 };
    },
  },
  {
    name: 'x-request-id, tracing at 100 % inbound and 0 % outbound',
    headers: {},
    edit: (config) => {
      config.tracing = { inbound: 100, outbound: 0 };
    },
  },
  {
    name: 'baggage, passed on by the applications’ tracing library',
    headers: {},
    edit: (config) => {
      config.trace = { ...config.trace, mode: 'baggage' };
      for (const [service, lane] of [
        ['productpage', 'dev1'],
        ['reviews', 'base'],
      ] as const) {
        const instances = config.services[service]?.instances[lane];
        if (instances) instances.env = { ...instances.env, FORWARD_EXTRA: 'baggage' };
      }
    },
  },
];

export const propagation: Scene = {
  number: 8,
  title: 'Through applications that know no lane',
  shows:
    'The tag follows the trace: by x-request-id (also when tracing rewrites it differently on both sides), traceparent with spans that change at each hop, b3, and baggage without any memory in the proxy.',
  needs: ['lane-tagging', 'trace-propagation', 'lane-fallback'],
  // Proxies are restarted or switched in between, and with them what they count.
  compare: false,
  async play(stage, record) {
    const hops = ['productpage:dev1', 'details:base', 'reviews:base', 'ratings:dev1'];
    const ask = (headers: Readonly<Record<string, string>>) =>
      record.ask({ path: '/productpage', headers: { 'end-user': 'dev1', ...headers }, hops, wants: 'dev1' });
    await ask({});
    await stage.underEach(WAYS, async ({ name, headers }) => {
      const { holds, hops: seen } = await ask(headers);
      record.check(name, holds, seen.join(' '));
    });
  },
};
