import { addRule } from '../../config/edit.ts';
import { driveOpen } from '../../drive/drive.ts';
import { found, notYet, waitUntil } from '../../process/wait.ts';
import type { Scene } from '../scene.ts';
import { hopOf } from '../stage.ts';
import { wholeTree } from './judges.ts';

/** Milliseconds that may pass from the command that applies the lane to the first answer out of it. */
export const FIRST_ANSWER_MS = 3_000;

/** Requests a second of everybody else, at full size and at any smaller. */
const RATE = { full: 50, small: 20 };

/** What a person types, in this order. The first two edit the file only; the last applies all of it. */
export const COMMANDS: readonly (readonly string[])[] = [
  ['lane', 'create', 'dev2', '--no-apply'],
  ['lane', 'add-service', 'dev2', 'reviews', '--version', 'v3', '--no-apply'],
  ['lane', 'rule', 'dev2', '--name', 'dev2-user', '--entrance', 'productpage', '--header', 'end-user=dev2'],
];

/** Further ways into the lane, for the scenes that come later. */
const FURTHER_RULES = [
  { name: 'dev2-preview', entrance: 'productpage', match: { query: { name: 'preview', exact: 'dev2' } } },
  { name: 'dev2-cookie', entrance: 'productpage', match: { cookie: { name: 'lane', exact: 'dev2' } } },
  {
    name: 'dev2-signed-in',
    entrance: 'reviews',
    at: 'sidecar',
    match: { header: { name: 'end-user', exact: 'dev2' } },
  },
];

export const create: Scene = {
  number: 0,
  title: 'A lane made while traffic runs',
  shows:
    'Three commands make lane dev2: the lane, its reviews v3, and the rule that leads the user dev2 there. Everybody else’s requests go on meanwhile.',
  needs: ['lane-tagging', 'trace-propagation', 'lane-fallback'],
  heavy: true,
  async play(stage, record) {
    const stop = new AbortController();
    const traffic = driveOpen({
      target: stage.url,
      rate: stage.scale === 1 ? RATE.full : RATE.small,
      durationMs: 120_000,
      signal: stop.signal,
      next: () => ({ method: 'GET', path: '/productpage', headers: { accept: 'application/json' }, kind: 'baseline' }),
      judge: wholeTree,
    });
    const first = performance.now();
    let applied = first;
    let answeredAt = 0;
    try {
      const answered = (async () => {
        await waitUntil(
          'an answer out of lane dev2',
          async () => {
            const { text } = await stage.ask({ path: '/productpage', headers: { 'end-user': 'dev2' } });
            const reviews = hopOf(text)?.calls.find((call) => call.service === 'reviews')?.hop?.instance;
            return reviews === 'reviews-dev2-1' ? found(undefined) : notYet(`reviews are ${reviews}`);
          },
          { deadlineMs: 90_000, intervalMs: 20 },
        );
        answeredAt = performance.now();
      })();
      // Awaited below; when a command fails first, that is the error to tell.
      answered.catch(() => undefined);
      for (const command of COMMANDS) {
        applied = performance.now();
        await stage.command(...command);
      }
      await answered;
    } finally {
      stop.abort();
    }
    const report = await traffic;
    const elapsed = answeredAt - applied;
    record.figure('from the command that applies it to the first answer of dev2', elapsed, 'ms');
    record.figure('from the first command to the first answer of dev2', answeredAt - first, 'ms');
    record.figure('requests meanwhile', report.sent, 'requests');
    if (stage.judgeTimes) {
      record.check(
        `first answer within ${FIRST_ANSWER_MS} ms`,
        elapsed <= FIRST_ANSWER_MS,
        `${Math.round(elapsed)} ms`,
      );
    }
    record.check('no request failed meanwhile', report.failed === 0 && report.sent > 0, report.failures);
    const further = FURTHER_RULES.reduce(
      (text, rule) => addRule(text, { ...rule, lane: 'dev2' }),
      stage.deployment.text,
    );
    await stage.applyText(further);
  },
};
