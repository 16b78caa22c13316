import { found, notYet, realClock, waitUntil } from '../../harness/process/wait.ts';
import type { IsolationStage } from './stage.ts';

const RATE = 300;
const WINDOWS = 6;
/** Access logs are written with some delay. */
const LOG_MS = 1_000;

export interface WarmUpWindow {
  /** Share of the requests that the instance had, 0–1. */
  readonly share: number;
  /** What a weight that grows in a straight line would have given it. */
  readonly linear: number;
}

/**
 * Kills one of three instances of `ratings`, starts it again under load and looks at its share in six parts of `warmUpMs` from the
 * health check on that it first passes.
 */
export async function warmUpOf(stage: IsolationStage, id: string, warmUpMs: number): Promise<WarmUpWindow[]> {
  await stage.driver.kill(id, 'both');
  await settles('out', () => stage.unhealthy(id));
  let healthy = 0;
  await stage.under(
    RATE,
    async () => {
      await stage.driver.revive(id);
      await settles('seen', async () => !(await stage.unhealthy(id)));
      healthy = Date.now();
      await realClock.sleep(warmUpMs + LOG_MS);
    },
    { name: `warm-up-${Date.now()}` },
  );
  await realClock.sleep(LOG_MS);
  const served = stage.served().filter(({ at, instance }) => at >= healthy && instance.startsWith('ratings-'));
  return Array.from({ length: WINDOWS }, (_, window) => {
    const [from, to] = [window, window + 1].map((n) => healthy + (n * warmUpMs) / WINDOWS) as [number, number];
    const all = served.filter(({ at }) => at >= from && at < to);
    const weight = (window + 0.5) / WINDOWS;
    return {
      share: all.filter(({ instance }) => instance === id).length / all.length,
      linear: weight / (weight + 2),
    };
  });
}

function settles(what: string, look: () => Promise<boolean>): Promise<void> {
  return waitUntil(what, async () => ((await look()) ? found(undefined) : notYet('not yet')), { deadlineMs: 10_000 });
}
