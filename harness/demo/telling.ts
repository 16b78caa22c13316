import colors from 'picocolors';
import type { Check, Exchange, Scene, SceneResult } from './scene.ts';

/** The story as lines on a terminal. */

const mark = (holds: boolean) => (holds ? colors.green('✓') : colors.red('✗'));

export function sceneHead(scene: Scene): string {
  return `\n${colors.bold(`${scene.number}. ${scene.title}`)}\n${wrap(scene.shows, 96)
    .map((line) => colors.dim(`   ${line}`))
    .join('\n')}`;
}

export function watched(line: Exchange | Check): string {
  if ('what' in line)
    return `   ${mark(line.holds)} ${line.what}${line.holds ? '' : colors.red(`: found ${line.found}`)}`;
  const lines = [`   ${mark(line.holds)} ${line.request}`, `       ${withLanes(line.path)}`];
  if (!line.holds) lines.push(colors.red(`       expected ${line.expected.join(' → ')}`));
  return lines.join('\n');
}

export function sceneTail(result: SceneResult): string {
  const figures = result.figures.map(({ name, value, unit }) => `   ${colors.dim(`${name}: ${value} ${unit}`)}`);
  return figures.join('\n');
}

export function summary(results: readonly SceneResult[], elapsedMs: number, page: string): string {
  const failed = results.filter(({ holds }) => !holds);
  const verdict =
    failed.length === 0
      ? colors.green(`All ${results.length} scenes hold.`)
      : colors.red(
          `${failed.length} of ${results.length} scenes do not hold: ${failed.map(({ number }) => number).join(', ')}.`,
        );
  return `\n${verdict} ${(elapsedMs / 1000).toFixed(0)} s. Open ${page} to look at them again.`;
}

/** Lanes in colour, each always in the same one. */
function withLanes(path: string): string {
  const paints = [colors.cyan, colors.magenta, colors.yellow, colors.blue, colors.green];
  return path.replace(/\(([^)]+)\)/g, (whole, lane: string) => {
    if (lane === 'base') return colors.dim(whole);
    const paint =
      paints[[...lane].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % paints.length] ?? colors.cyan;
    return paint(whole);
  });
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + word.length >= width) {
      lines.push(line);
      line = '';
    }
    line += (line === '' ? '' : ' ') + word;
  }
  return line === '' ? lines : [...lines, line];
}
