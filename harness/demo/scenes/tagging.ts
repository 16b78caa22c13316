import type { Scene } from '../scene.ts';

const DEV2 = ['productpage:base', 'details:base', 'reviews:dev2', 'ratings:base'];
const BASELINE = ['productpage:base', 'details:base', 'reviews:base', 'ratings:base'];
const DEV1 = ['productpage:dev1', 'details:base', 'reviews:base', 'ratings:dev1'];

export const diversion: Scene = {
  number: 4,
  title: 'Diverted by header, by URI, by cookie',
  shows: 'Three rules of the gateway lead into the same lane; the same request without the feature stays out.',
  needs: ['lane-tagging', 'trace-propagation', 'lane-fallback'],
  async play(_stage, record) {
    const inside = { hops: DEV2, wants: 'dev2' };
    const outside = { hops: BASELINE, wants: 'base' };
    await record.ask({ path: '/productpage', headers: { 'end-user': 'dev2' }, ...inside });
    await record.ask({ path: '/productpage?preview=dev2', ...inside });
    await record.ask({ path: '/productpage', headers: { cookie: 'theme=dark; lane=dev2' }, ...inside });
    await record.ask({ path: '/productpage', headers: { 'end-user': 'dev22' }, ...outside });
    await record.ask({ path: '/productpage?preview=', ...outside });
    await record.ask({ path: '/productpage', headers: { cookie: 'lane=dev' }, ...outside });
  },
};

/** Whose address the gateway of bookinfo.yaml trusts. */
export const API_GATEWAY = '127.0.9.9';

export const threeOptions: Scene = {
  number: 5,
  title: 'Three places where a tag may be made',
  shows:
    'A front API gateway has tagged already and is believed by its address; the ingress gateway tags; the sidecar of the entrance service’s caller tags. A stranger’s tag is taken off.',
  needs: ['lane-tagging', 'trace-propagation', 'lane-fallback'],
  // Calls from a second address of this machine, which containers would not see.
  only: 'process',
  async play(stage, record) {
    const tagged = { [stage.mesh.tagHeader]: 'dev1' };
    await record.ask({ path: '/productpage', headers: tagged, from: API_GATEWAY, hops: DEV1, wants: 'dev1' });
    await record.ask({ path: '/productpage', headers: tagged, hops: BASELINE, wants: 'base' });
    await record.ask({ path: '/productpage', headers: { 'end-user': 'dev1' }, hops: DEV1, wants: 'dev1' });
    // Signed in as dev2: productpage sends its user on, and its own sidecar tags the call to reviews.
    const wants = { productpage: 'base', details: 'base', reviews: 'dev2', ratings: 'dev2' };
    await record.ask({ path: '/productpage', headers: { cookie: 'user=dev2' }, hops: DEV2, wants });
  },
};
