import type { Measures } from './measures.ts';
import { PEERS } from './protections.ts';
import { scenario } from './scenarios.ts';
import { runStep, stockVariants } from './steps.ts';

/** What must hold on any machine, however busy: the rig makes the difference that it is there to show. */
interface Fact {
  readonly scenario: string;
  readonly variant: string;
  readonly what: string;
  holds(measures: Measures): boolean;
}

const FACTS: readonly Fact[] = [
  {
    scenario: '0.8×',
    variant: PEERS.none,
    what: 'below its capacity the application answers nearly everything',
    holds: ({ goodput, refused }) => goodput > 0.9 && refused === 0,
  },
  {
    scenario: '5×',
    variant: PEERS.none,
    what: 'without protection goodput collapses',
    holds: ({ goodput }) => goodput < 0.1,
  },
  {
    scenario: '5×',
    variant: PEERS.breaker,
    what: 'a limit on requests in flight keeps goodput up, and gives the core class no more than the rest',
    holds: ({ goodput, core }) => goodput > 0.8 && core < 0.35,
  },
];

/** One seed of the facts' trials; answers whether all hold. */
export async function quick(say: (line: string) => void): Promise<boolean> {
  let all = true;
  for (const name of new Set(FACTS.map((fact) => fact.scenario))) {
    const facts = FACTS.filter((fact) => fact.scenario === name);
    const variants = stockVariants().filter((variant) => facts.some((fact) => fact.variant === variant.name));
    const results = await runStep({ name: 'quick', shows: '', scenarios: [scenario(name)], variants }, [1], say);
    for (const fact of facts) {
      const found = results.find((result) => result.variant === fact.variant);
      const holds = found !== undefined && fact.holds(found.measures);
      say(`${holds ? 'holds ' : 'MISSES'}  ${fact.scenario}, ${fact.variant}: ${fact.what}`);
      all &&= holds;
    }
  }
  return all;
}
