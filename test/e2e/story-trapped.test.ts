import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TAG } from '../../filters/headers.ts';
import { ENVOY_REQUEST_HEADERS, INTERNAL_HEADERS } from '../../filters/internal-headers.ts';
import { VALUES } from '../../harness/demo/scenes/headers.ts';
import type { Stage } from '../../harness/demo/stage.ts';
import { found, GiveUp, notYet, waitUntil } from '../../harness/process/wait.ts';
import { compilePlugin } from '../support/compile-plugin.ts';
import { TRIGGER } from '../traps/sidecar.ts';
import { openStory } from './story-stage.ts';

/**
 * The third setting of the story's scene about internal headers: not enabled, not disabled, but trapped. A request that
 * traps the filters is refused; whatever it says, it reaches no lane, no instance and no second try.
 */

let stage: Stage;
let close: () => Promise<void>;

beforeAll(async () => {
  const wasmPath = await compilePlugin('test/plugins/trap-suite.ts');
  ({ stage, close } = await openStory({ network: '127.72', scale: 200, wasmPath }));
});

afterAll(() => close());

const BASELINE = 'productpage:base details:base reviews:base ratings:base';
const CALLER = 'productpage-base-1';

const names = [...INTERNAL_HEADERS.map(({ name }) => name), ...ENVOY_REQUEST_HEADERS];
const attempts = names.flatMap((name, n) => ({ name, value: VALUES[n % VALUES.length] ?? '' }));

/** A new VM serves within moments; until then the proxy refuses. Nothing else may ever be the answer. */
async function recovered(name: string, value: string): Promise<void> {
  const look = async () => {
    const { hops } = await stage.ask({ path: '/productpage', headers: { [name]: value } });
    const seen = hops.join(' ');
    if (seen !== BASELINE && !hops.some((hop) => hop.endsWith('!503')))
      throw new GiveUp(`${name}: ${value} went ${seen}`);
    return seen === BASELINE ? found(seen) : notYet(seen);
  };
  await waitUntil(`${name}: served again`, look, { deadlineMs: 10_000, intervalMs: 50 });
}

describe('a request that traps the filters', () => {
  it('is refused at the gateway with every internal header, and steers nothing afterwards', async () => {
    for (const { name, value } of attempts) {
      const { status, hop } = await stage.ask({ path: '/productpage', headers: { [name]: value, [TRIGGER]: '1' } });
      expect([name, status, hop]).toEqual([name, 503, null]);
      await recovered(name, value);
    }
  });

  it('is refused at an application’s sidecar too', async () => {
    for (const { name, value } of attempts.filter((attempt) => attempt.name !== TAG)) {
      const headers = { [name]: value, [TRIGGER]: '1' };
      const { status, hop } = await stage.askAs(CALLER, 'reviews:9080', { path: '/reviews/0', headers });
      expect([name, status, hop]).toEqual([name, 503, null]);
      await recovered(name, value);
    }
  });
});
