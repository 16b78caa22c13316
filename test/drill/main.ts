/**
 * `make drill`: faults under load, each beside its peer in the same run. Prints one table a part, writes build/drill.json, and
 * ends with status 1 when a target of test/targets.json is missed. Arguments name the parts; without any, all are drilled.
 * CAUSEWAY_SCALE divides the long ones: 1 is full size.
 */
import { allHold, type Measured, verdictLines, writeFigures } from '../figures/figures.ts';
import { centre } from './centre/part.ts';
import { heal } from './heal/part.ts';
import { isolation } from './isolation/part.ts';
import { type Part, table } from './part.ts';
import { restart } from './restart/part.ts';
import { tls } from './tls/part.ts';

const PARTS: readonly Part[] = [heal, tls, isolation, restart, centre];

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !PARTS.some((part) => part.name === name));
if (unknown.length > 0) {
  throw new Error(`found part ${unknown.join(', ')}, expected ${PARTS.map(({ name }) => name).join(', ')}`);
}
const parts = PARTS.filter(({ name }) => wanted.length === 0 || wanted.includes(name));
const measured: Measured[] = [];
const tables: string[] = [];
for (const part of parts) {
  process.stderr.write(`\n${part.name}\n`);
  const outcome = await part.run(({ drill, figure, causeway, peer }) => {
    process.stderr.write(`  ${drill}, ${figure}: ${causeway}; ${part.peer}: ${peer}\n`);
  });
  measured.push(...outcome.measured.map((one) => ({ ...one, name: `${part.name}: ${one.name}` })));
  tables.push(`\n${part.name}\n\n${table(part, outcome.rows)}`);
}
// A part that was not asked for has no figures: only those that were drilled are judged.
const drilled = writeFigures('drill', measured).filter(({ name }) =>
  parts.some((part) => name.startsWith(`${part.name}: `)),
);
process.stdout.write(`${tables.join('\n')}\n\n${verdictLines(drilled).join('\n')}\n`);
if (!allHold(drilled)) process.exitCode = 1;
