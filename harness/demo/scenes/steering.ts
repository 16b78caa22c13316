import type { Scene } from '../scene.ts';

/** Requests of the percentage scene: of 400 draws at 10 % all but one in a thousand runs lie in the bounds below. */
const DRAWS = 400;
const [LOW, HIGH] = [0.055, 0.155];

export const tenPercent: Scene = {
  number: 9,
  title: 'Ten percent, for the whole chain',
  shows:
    'A tenth of one cohort meets the canary. The lot is drawn from the trace, so reviews and ratings of one request come from the same side, though different proxies choose them.',
  needs: ['lane-fallback'],
  async play(stage, record) {
    let canary = 0;
    const split: string[] = [];
    for (let done = 0; done < DRAWS; done += 20) {
      const batch = Array.from({ length: 20 }, () =>
        stage.ask({ path: '/productpage', headers: { cookie: 'cohort=ten' } }),
      );
      for (const { hops, edges } of await Promise.all(batch)) {
        for (const edge of edges) record.proved.push({ ...edge, wanted: 'base' });
        const sides = hops.filter((hop) => /^(reviews|ratings):/.test(hop)).map((hop) => hop.split(':')[1]);
        if (sides.length !== 2 || sides[0] !== sides[1]) split.push(hops.join(' '));
        else if (sides[0] === 'canary') canary++;
      }
    }
    const share = canary / DRAWS;
    record.figure('share of the canary', share * 100, '%');
    record.check('about ten percent met the canary', share >= LOW && share <= HIGH, `${canary} of ${DRAWS}`);
    record.check('reviews and ratings always came from the same side', split.length === 0, split.slice(0, 3));

    const caller = stage.mesh.services.find(({ name }) => name === 'productpage')?.instances[0]?.id ?? '';
    const drifting: string[] = [];
    for (let trace = 0; trace < 20; trace++) {
      const id = `00000000-0000-4000-8000-${String(trace).padStart(12, '0')}`;
      const headers = { cookie: 'cohort=ten', 'x-request-id': id };
      const again = () => stage.askAs(caller, 'reviews:9080', { path: '/reviews/0', headers });
      const answers = await Promise.all([again(), again(), again()]);
      const seen = new Set(answers.map(({ hops }) => hops.join(' ')));
      if (seen.size !== 1) drifting.push(`${id}: ${[...seen].join(' | ')}`);
      for (const { edges } of answers) for (const edge of edges) record.proved.push({ ...edge, wanted: 'base' });
    }
    record.check('the same trace draws the same lot each time', drifting.length === 0, drifting.slice(0, 3));
  },
};

export const oneMachine: Scene = {
  number: 11,
  title: 'Everything to one machine',
  shows: 'For a load test, all calls of one cohort to reviews go to one named instance; the others get none of it.',
  needs: ['lane-fallback'],
  async play(stage, record) {
    const seen = new Map<string, number>();
    for (let n = 0; n < 20; n++) {
      const { hop, edges } = await stage.ask({ path: '/productpage', headers: { cookie: 'cohort=load-test' } });
      for (const edge of edges) record.proved.push({ ...edge, wanted: 'base' });
      const instance = hop?.calls.find((call) => call.service === 'reviews')?.hop?.instance ?? 'none';
      seen.set(instance, (seen.get(instance) ?? 0) + 1);
    }
    record.check('all 20 went to reviews-base-2', seen.get('reviews-base-2') === 20, Object.fromEntries(seen));
    const others = new Set<string>();
    for (let n = 0; n < 10; n++) {
      const { hop, edges } = await stage.ask({ path: '/productpage' });
      for (const edge of edges) record.proved.push({ ...edge, wanted: 'base' });
      others.add(hop?.calls.find((call) => call.service === 'reviews')?.hop?.instance ?? 'none');
    }
    record.check('everybody else still meets both instances', others.size === 2, [...others]);
  },
};
