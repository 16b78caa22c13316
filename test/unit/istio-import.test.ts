import { describe, expect, it } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import { importLanes } from '../../envoy-configs/istio/import.ts';
import { resolveIstio } from '../../envoy-configs/istio/options.ts';
import { renderIstio } from '../../envoy-configs/istio/render.ts';
import { resolveMesh } from '../../envoy-configs/resolve.ts';
import { parseConfig } from '../../harness/config/load.ts';

/** Bookinfo's reviews with lane dev2, as the article on ASM's lanes has it. */
const ASM = `apiVersion: istio.alibabacloud.com/v1beta1
kind: TrafficLabel
metadata: { name: global-traffic-label }
spec:
  rules:
  - labels: [{ name: x-asm-traffic-lane }]
    protocols: "http"
    traceIdHeader: x-request-id
  hosts: ["*"]
---
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: { name: reviews }
spec:
  hosts: [reviews]
  http:
  - match: [{ headers: { end-user: { exact: dev2 } } }]
    route:
    - destination: { host: reviews, subset: dev2 }
      fallback: { case: noinstances|notavailable, target: { host: reviews, subset: baseline } }
      headers: { request: { set: { x-asm-traffic-lane: dev2 } } }
  - route:
    - destination: { host: reviews, subset: $x-asm-traffic-lane }
      fallback: { case: noinstances|notavailable, target: { host: reviews, subset: baseline } }
  - route:
    - destination: { host: reviews, subset: baseline }
---
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: { name: reviews }
spec:
  host: reviews
  subsets:
  - { name: baseline, labels: { version: v2 } }
  - { name: dev2, labels: { version: v3 } }
`;

function read(text: string) {
  const documents = parseAllDocuments(text);
  return importLanes(Array.isArray(documents) ? documents.map((document) => document.toJS() as unknown) : [], 'asm');
}

describe('lanes in ASM’s form', () => {
  it('become causeway.yaml', () => {
    expect(read(ASM)).toEqual({
      problems: [],
      config: {
        mesh: 'asm',
        baseline: 'baseline',
        tag: { header: 'x-asm-traffic-lane' },
        trace: { sources: [{ header: 'x-request-id' }] },
        gateways: [{ name: 'gateway', routes: [{ prefix: '/', service: 'reviews' }] }],
        services: {
          reviews: {
            entrance: true,
            instances: {
              baseline: { version: 'v2', labels: { version: 'v2' } },
              dev2: { version: 'v3', labels: { version: 'v3' } },
            },
          },
        },
        lanes: { dev2: {} },
        rules: [
          {
            name: 'reviews-dev2-1',
            at: 'sidecar',
            entrance: 'reviews',
            lane: 'dev2',
            match: { header: { name: 'end-user', exact: 'dev2' } },
          },
        ],
      },
    });
  });

  it('are rendered with the same Pods in each subset, the lane first and the baseline behind it', () => {
    const config = parseConfig(stringify(read(ASM).config), 'imported.yaml');
    const istio = resolveIstio(config.istio, { url: 'file:///w.wasm', sha256: '' }, 'envoyfilter');
    const text = JSON.stringify(renderIstio(resolveMesh(config), istio));
    expect(text).toContain('{"name":"dev2","labels":{"version":"v3"}}');
    const host = 'reviews.default.svc.cluster.local';
    const [lane, base] = ['dev2', 'baseline'].map((subset) => `"outbound|9080|${subset}|${host}"`);
    expect(text).toContain(`"clusters":[${lane},${base}]`);
  });

  it('are strict where nothing stands in', () => {
    const strict = ASM.replaceAll(/\n +fallback: .*/g, '');
    expect(read(strict).config.lanes).toEqual({ dev2: { mode: 'strict' } });
  });

  it.each([
    ['exact: dev2 }', 'regex: dev.* }', /regex.*cel:/],
    ['hosts: ["*"]', 'hosts: [a, b]', /hosts|whole mesh/],
    ['noinstances|notavailable, target', 'always, target', /always.*noinstances/],
    ['subset: $x-asm-traffic-lane', 'subset: $other', /\$other.*\$x-asm-traffic-lane/],
    ['set: { x-asm-traffic-lane: dev2 }', 'set: { other: dev2 }', /without its tag/],
    ['host: reviews\n  subsets', 'host: ratings\n  subsets', /a host with a DestinationRule/],
    [
      '- destination: { host: reviews, subset: baseline }',
      '- destination: { host: reviews, subset: a }\n    - destination: { host: reviews, subset: b }',
      /one; shares/,
    ],
  ])('are refused with %s as %s', (from, to, words) => {
    expect(ASM).toContain(from);
    const { problems } = read(ASM.replace(from, to));
    expect(problems.map(({ path, found, expected }) => `${path.join('.')} ${found} ${expected}`).join('\n')).toMatch(
      words,
    );
  });

  it('survive any odd value', () => {
    for (const odd of [
      '',
      '[]',
      '3',
      'kind: VirtualService',
      'kind: DestinationRule\nspec: [1]',
      'kind: TrafficLabel\nspec: { rules: 7 }',
    ]) {
      expect(read(odd).problems.length).toBeGreaterThan(0);
    }
  });
});
