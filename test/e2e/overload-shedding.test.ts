/** Overload shedding on real Envoys, rendered from the words of `causeway.yaml`, in front of an application with a capacity. */
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { found, notYet, waitUntil } from '../../harness/process/wait.ts';
import { type Answer, OverloadStage, type StageOptions } from '../overload/stage.ts';
import { compilePlugin } from '../support/compile-plugin.ts';

/** 4 slots of 20 ms. */
const CAPACITY = 200;
const APP = { SLOTS: '4', SERVICE_MS: '20' };

let module: string;
let stage: OverloadStage | undefined;
let network = 83;

beforeAll(async () => {
  module = await compilePlugin('filters/suite.ts');
}, 240_000);

afterEach(async () => {
  await stage?.stop();
  stage = undefined;
});

async function start(options: Partial<StageOptions> = {}): Promise<OverloadStage> {
  // Another network each time: a closed port may still be remembered.
  stage = await OverloadStage.start({ module, network: network++, app: APP, ...options });
  const { inbound } = stage;
  await waitUntil(
    'the first answer',
    async () => {
      const answer = await stage?.call(inbound);
      return answer?.status === 200 ? found(undefined) : notYet(String(answer?.status));
    },
    { deadlineMs: 20_000 },
  );
  return stage;
}

const count = (answers: readonly Answer[], status: number): number =>
  answers.filter((answer) => answer.status === status).length;

describe.each([1, 2])('with %i workers', (concurrency) => {
  it('serves at capacity what is offered threefold, the core class first', async () => {
    const { inbound } = await start({ concurrency });
    if (stage === undefined) return;
    expect(count(await stage.load(inbound, CAPACITY / 2, 3), 503), 'half the capacity').toBe(0);
    const answers = await stage.load(inbound, CAPACITY * 3, 6, (n) => ({
      'x-request-id': `id-${n}`,
      'x-causeway-class': n % 5 === 0 ? '1' : '5',
    }));
    const later = answers.slice(answers.length / 3);
    const seconds = 4;
    expect(count(later, 200) / seconds).toBeGreaterThan(CAPACITY * 0.9);
    const core = answers.filter((_, n) => n % 5 === 0).slice(Math.floor(answers.length / 15));
    expect(count(core, 200) / core.length, 'core').toBeGreaterThan(0.97);
    const refused = later.find(({ status }) => status === 503);
    expect(refused?.headers).toMatchObject({ 'x-envoy-ratelimited': 'true', 'retry-after': '1' });
    expect(Number(refused?.headers['x-causeway-shed'])).toBeGreaterThan(0);
    expect(await stage.metric('refused_total.class.5')).toBeGreaterThan(0);
  });
});
