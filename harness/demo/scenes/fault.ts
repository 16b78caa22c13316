import type { Scene } from '../scene.ts';

const BASELINE = ['productpage:base', 'details:base', 'reviews:base', 'ratings:base'];

export const faultDrill: Scene = {
  number: 13,
  title: 'A fault drill that stays in its lane',
  shows:
    'Lane drill has no instance of its own: its requests run through the baseline, marked. A stock fault filter answers 503 for ratings to them, and to nobody else on the same instances.',
  needs: ['lane-tagging', 'trace-propagation'],
  async play(stage, record) {
    const drill = { path: '/productpage', headers: { 'end-user': 'drill' } };
    await record.ask({ ...drill, hops: BASELINE, wants: 'drill' });
    const fault = { name: 'ratings-down', lane: 'drill', services: ['ratings'], abort: 503 };
    await stage.under(
      (config) => {
        config.faults = [fault];
      },
      async () => {
        const broken = ['productpage:base', 'details:base', 'reviews:base', 'ratings!503'];
        // The instance's own sidecar answered for it: an instance was reached, no application worked.
        await record.ask({ ...drill, hops: broken, wants: 'drill', servedBySidecar: { ratings: 'base' } });
        for (let n = 0; n < 5; n++) await record.ask({ path: '/productpage', hops: BASELINE, wants: 'base' });
        const dev1 = ['productpage:dev1', 'details:base', 'reviews:base', 'ratings:dev1'];
        await record.ask({ path: '/productpage', headers: { 'end-user': 'dev1' }, hops: dev1, wants: 'dev1' });
      },
    );
    await record.ask({ ...drill, hops: BASELINE, wants: 'drill' });
  },
};
