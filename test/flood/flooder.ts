/** The flood in a process of its own, so that it starves nobody else: plan in the first argument, counts to the parent. */
import { type FloodCount, type FloodPlan, flood } from './load.ts';

const plan = JSON.parse(process.argv[2] ?? '') as FloodPlan;
const count: FloodCount = { sent: 0, answered: 0, failed: 0 };
const report = (done: boolean): void => void process.send?.({ ...count, done });
const timer = setInterval(() => report(false), 1000);
await flood(plan, count);
clearInterval(timer);
report(true);
process.disconnect();
