import colors from 'picocolors';
import type { LoadSecond, StreamSecond } from '../../overload/load.ts';
import { type Claim, COURSE, type PhaseFigures } from './course.ts';
import { CAPACITY, SERVICES } from './mesh.ts';

/** The scene as lines on a terminal. */

const BARS = '▁▂▃▄▅▆▇█';
const BAR_WIDTH = 20;

export function head(): string {
  const columns = SERVICES.map((name) => `${name} good/s`.padEnd(BAR_WIDTH + 6)).join('  ');
  return colors.dim(`   s  offered/s  ${columns}core answered, unguarded / guarded`);
}

/** One second: what was offered to each service, and what each answered in time. */
export function secondLine({ second, streams }: LoadSecond): string {
  const service = (n: number): [core: StreamSecond | undefined, other: StreamSecond | undefined] => [
    streams[2 * n],
    streams[2 * n + 1],
  ];
  const sum = (n: number, what: keyof StreamSecond): number =>
    service(n).reduce((total, one) => total + (one?.[what] ?? 0), 0);
  const bars = SERVICES.map((_, n) => {
    const good = sum(n, 'good');
    const paint = good < CAPACITY / 4 ? colors.red : colors.green;
    return `${paint(bar(good))} ${String(good).padStart(4)} `;
  });
  const core = SERVICES.map((_, n) => {
    const [own] = service(n);
    if (own === undefined || own.offered === 0) return '   –';
    return `${String(Math.min(100, Math.round((100 * own.good) / own.offered))).padStart(3)}%`;
  });
  const phase = phaseAt(second);
  const line = `${String(second).padStart(4)}  ${String(sum(1, 'offered')).padStart(9)}  ${bars.join('  ')}  ${core.join(' / ')}`;
  return phase === null ? line : `   ${colors.bold(phase)}\n${line}`;
}

/** The title of the phase that begins with this second. */
function phaseAt(second: number): string | null {
  let begins = 1;
  for (const { title, times, seconds } of COURSE) {
    if (begins === second) return `${title}: ${Math.round(times * CAPACITY)} requests per second each`;
    begins += seconds;
  }
  return null;
}

function bar(good: number): string {
  const eighths = Math.round((Math.min(good, 1.1 * CAPACITY) / (1.1 * CAPACITY)) * BAR_WIDTH * 8);
  const whole = '█'.repeat(eighths >> 3);
  const rest = eighths % 8 === 0 ? '' : ('▏▎▍▌▋▊▉'[(eighths % 8) - 1] ?? '');
  return (whole + rest).padEnd(BAR_WIDTH);
}

/** Eight heights from 0 to `most`. */
export function sparkline(values: readonly number[], most: number): string {
  return values.map((value) => BARS[Math.max(0, Math.min(7, Math.floor((8 * value) / most)))] ?? ' ').join('');
}

export function verdict(
  seconds: readonly LoadSecond[],
  figures: readonly PhaseFigures[],
  judged: readonly Claim[],
): string {
  const good = (n: number): number[] =>
    seconds.map(({ streams }) => (streams[2 * n]?.good ?? 0) + (streams[2 * n + 1]?.good ?? 0));
  const rows = figures.map(
    ({ service, phase, offeredPerSecond, goodPerSecond, core, p99 }) =>
      `   ${phase.padEnd(26)} ${service.padEnd(10)} ${offeredPerSecond.toFixed(0).padStart(6)} ${goodPerSecond.toFixed(0).padStart(7)} ${`${(100 * core).toFixed(0)} %`.padStart(7)} ${p99.toFixed(0).padStart(7)}`,
  );
  const lines = [
    '',
    `   Good answers per second, of ${CAPACITY} that are possible:`,
    ...SERVICES.map((name, n) => `   ${name.padEnd(10)} ${sparkline(good(n), CAPACITY)}`),
    '',
    colors.dim(
      `   ${'settled'.padEnd(37)} ${'offered'.padStart(6)} ${'good/s'.padStart(6)} ${'core'.padStart(7)} ${'p99 ms'.padStart(7)}`,
    ),
    ...rows,
    '',
    ...judged.map(({ what, holds, found }) => `   ${holds ? colors.green('✓') : colors.red('✗')} ${what}: ${found}`),
  ];
  return lines.join('\n');
}
