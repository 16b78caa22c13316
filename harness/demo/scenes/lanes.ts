import type { Scene } from '../scene.ts';

const BASELINE = ['productpage:base', 'details:base', 'reviews:base', 'ratings:base'];

export const baselineOnly: Scene = {
  number: 1,
  title: 'The baseline alone',
  shows: 'A request that nobody has marked runs through the complete baseline, whatever lanes stand beside it.',
  needs: [],
  async play(_stage, record) {
    await record.ask({ path: '/productpage', hops: BASELINE, wants: 'base' });
    await record.ask({ path: '/productpage', headers: { 'end-user': 'somebody' }, hops: BASELINE, wants: 'base' });
  },
};

export const oneServiceLane: Scene = {
  number: 2,
  title: 'Lane dev2: one service under development',
  shows:
    'The user dev2 meets reviews v3 of lane dev2. The lane has nothing else, so productpage and details are the baseline’s, and so are the ratings that v3 asks for.',
  needs: ['lane-tagging', 'trace-propagation', 'lane-fallback'],
  async play(_stage, record) {
    const hops = ['productpage:base', 'details:base', 'reviews:dev2', 'ratings:base'];
    await record.ask({ path: '/productpage', headers: { 'end-user': 'dev2' }, hops, wants: 'dev2' });
  },
};

export const outAndBack: Scene = {
  number: 3,
  title: 'Lane dev1: out to the baseline and back into the lane',
  shows:
    'Lane dev1 has productpage and ratings, but no reviews. Its request leaves the lane for the baseline’s reviews, and comes back for the lane’s ratings: the tag went through an application that knows nothing of it.',
  needs: ['lane-tagging', 'trace-propagation', 'lane-fallback'],
  async play(_stage, record) {
    const hops = ['productpage:dev1', 'details:base', 'reviews:base', 'ratings:dev1'];
    await record.ask({ path: '/productpage', headers: { 'end-user': 'dev1' }, hops, wants: 'dev1' });
  },
};

export const strictLane: Scene = {
  number: 7,
  title: 'A strict lane without the instance',
  shows:
    'Lane gold is strict: where it has no instance of its own the answer is 503. Nobody else’s instance ever serves its customers.',
  needs: ['lane-tagging', 'trace-propagation', 'lane-fallback'],
  async play(_stage, record) {
    const headers = { 'x-customer': 'gold' };
    const page = ['productpage:gold', 'details!503', 'reviews!503'];
    await record.ask({ path: '/productpage', headers, hops: page, wants: 'gold' });
    // At the API the customer sees the status itself. The gateway tries a GET's 503 once more, so productpage asks twice.
    const api = ['productpage:gold', 'reviews!503'];
    await record.ask({ path: '/api/v1/products/0/reviews', headers, status: 503, hops: api, wants: 'gold', tries: 2 });
  },
};

export const groups: Scene = {
  number: 10,
  title: 'Groups that stand in for each other',
  shows:
    'type=transfer goes to GROUP_2. While GROUP_2 is down, GROUP_1 serves it; the baseline would come last. When GROUP_2 is back, so is its traffic.',
  needs: ['lane-tagging', 'trace-propagation', 'lane-fallback'],
  // Proxies are restarted or switched in between, and with them what they count.
  compare: false,
  async play(stage, record) {
    const ask = (lane: string) =>
      record.ask({
        path: '/productpage',
        headers: { type: 'transfer' },
        hops: ['productpage:base', 'details:base', `reviews:${lane}`, 'ratings:base'],
        wants: 'GROUP_2',
      });
    await ask('GROUP_2');
    await stage.driver.kill('reviews-GROUP_2-1');
    try {
      await ask('GROUP_1');
      await ask('GROUP_1');
    } finally {
      await stage.driver.revive('reviews-GROUP_2-1');
    }
    await stage.healthy('reviews-GROUP_2-1');
    await ask('GROUP_2');
  },
};
