import type { CausewayConfig } from '../../../envoy-configs/schema.ts';
import type { Scene } from '../scene.ts';

/** One configuration, and the ways by which tags get through under it. */
interface Setting {
  ways: readonly { name: string; headers: Readonly<Record<string, string>> }[];
  edit(config: CausewayConfig): void;
}

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
/** One trace each: what one way has taught must not help the next. */
const B3_TRACE = '0af7651916cd43dd8448eb211c80319c';
const MULTI_TRACE = '463ac35c9f6413ad48485a3953bb6124';
const SPAN = '00f067aa0ba902b7';

/** How a tag gets through applications that pass on trace headers, but no lane. */
const SETTINGS: readonly Setting[] = [
  {
    // Each request has one of the three, and x-request-id is not looked at.
    edit: (config) => {
      const headers = ['traceparent', 'b3', 'x-b3-traceid'];
      config.trace = { ...config.trace, sources: headers.map((header) => ({ header })) };
    },
    ways: [
      {
        name: 'traceparent, with a new span at every hop',
        headers: { traceparent: `00-${TRACE}-${SPAN}-01` },
      },
      { name: 'b3', headers: { b3: `${B3_TRACE}-${SPAN}-1` } },
      {
        name: 'x-b3-traceid',
        headers: { 'x-b3-traceid': MULTI_TRACE, 'x-b3-spanid': SPAN, 'x-b3-sampled': '1' },
      },
    ],
  },
  {
    ways: [{ name: 'x-request-id, tracing at 0 % inbound and 100 % outbound', headers: {} }],
    edit: (config) => {
      config.tracing = { inbound: 0, outbound: 100 };
    },
  },
  {
    ways: [{ name: 'x-request-id, tracing at 100 % inbound and 0 % outbound', headers: {} }],
    edit: (config) => {
      config.tracing = { inbound: 100, outbound: 0 };
    },
  },
  {
    ways: [{ name: 'baggage, passed on by the applications’ tracing library', headers: {} }],
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
    await stage.underEach(SETTINGS, async ({ ways }) => {
      for (const { name, headers } of ways) {
        const { holds, hops: seen } = await ask(headers);
        record.check(name, holds, seen.join(' '));
      }
    });
  },
};
