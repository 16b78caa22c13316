/** A small unified diff of two texts by lines. */

/** Most edits that are looked for exactly; a change larger than this is shown as "all of it" between the common ends. */
const MAX_EDITS = 2_000;
const CONTEXT = 3;

export type Line = { readonly kind: ' ' | '-' | '+'; readonly text: string };

/** Unified diff with three lines of context; empty for equal texts. */
export function unifiedDiff(before: string, after: string, name: string): string {
  if (before === after) return '';
  const lines = diffLines(splitLines(before), splitLines(after));
  const out = [`--- ${name} (running)`, `+++ ${name}`];
  for (const [from, to] of hunks(lines)) {
    const start = position(lines, from);
    const part = lines.slice(from, to);
    const olds = part.filter(({ kind }) => kind !== '+').length;
    const news = part.filter(({ kind }) => kind !== '-').length;
    out.push(`@@ -${start.old},${olds} +${start.new},${news} @@`);
    for (const { kind, text } of part) out.push(`${kind}${text}`);
  }
  return `${out.join('\n')}\n`;
}

function splitLines(text: string): string[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

/** Every line of both texts, in order, with what became of it. */
export function diffLines(before: readonly string[], after: readonly string[]): Line[] {
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head++;
  let tail = 0;
  const room = Math.min(before.length, after.length) - head;
  while (tail < room && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail++;
  const same = (lines: readonly string[]): Line[] => lines.map((text) => ({ kind: ' ', text }));
  return [
    ...same(before.slice(0, head)),
    ...middle(before.slice(head, before.length - tail), after.slice(head, after.length - tail)),
    ...same(before.slice(before.length - tail)),
  ];
}

/**
 * Myers' greedy algorithm ("An O(ND) Difference Algorithm and Its Variations", 1986): `furthest[k]` is how far along
 * diagonal k a path of d edits gets; the trace of those arrays is walked back into edits.
 */
function middle(before: readonly string[], after: readonly string[]): Line[] {
  const removed: Line[] = before.map((text) => ({ kind: '-', text }));
  const added: Line[] = after.map((text) => ({ kind: '+', text }));
  if (before.length === 0 || after.length === 0) return [...removed, ...added];
  const limit = Math.min(MAX_EDITS, before.length + after.length);
  const furthest = new Map<number, number>([[1, 0]]);
  const trace: Map<number, number>[] = [];
  for (let edits = 0; edits <= limit; edits++) {
    trace.push(new Map(furthest));
    for (let k = -edits; k <= edits; k += 2) {
      let x = stepsDown(furthest, k, edits) ? at(furthest, k + 1) : at(furthest, k - 1) + 1;
      while (x < before.length && x - k < after.length && before[x] === after[x - k]) x++;
      furthest.set(k, x);
      if (x >= before.length && x - k >= after.length) return walkBack(trace, before, after);
    }
  }
  return [...removed, ...added];
}

function at(furthest: ReadonlyMap<number, number>, k: number): number {
  return furthest.get(k) ?? -1;
}

/** Whether the best way onto diagonal k is an insertion (from k+1) rather than a deletion (from k-1). */
function stepsDown(furthest: ReadonlyMap<number, number>, k: number, edits: number): boolean {
  return k === -edits || (k !== edits && at(furthest, k - 1) < at(furthest, k + 1));
}

function walkBack(
  trace: readonly ReadonlyMap<number, number>[],
  before: readonly string[],
  after: readonly string[],
): Line[] {
  const lines: Line[] = [];
  let x = before.length;
  let y = after.length;
  for (let edits = trace.length - 1; edits > 0; edits--) {
    const furthest = trace[edits] ?? new Map<number, number>();
    const k = x - y;
    const down = stepsDown(furthest, k, edits);
    const fromX = at(furthest, down ? k + 1 : k - 1);
    const fromY = fromX - (down ? k + 1 : k - 1);
    // Equal lines come after the edit: the edit leads from (fromX, fromY) to the start of the diagonal run.
    for (const end = down ? fromX : fromX + 1; x > end; y--) lines.push({ kind: ' ', text: before[--x] ?? '' });
    lines.push(down ? { kind: '+', text: after[fromY] ?? '' } : { kind: '-', text: before[fromX] ?? '' });
    x = fromX;
    y = fromY;
  }
  while (x > 0) lines.push({ kind: ' ', text: before[--x] ?? '' });
  return lines.reverse();
}

/** Ranges of lines that are changes with their context, overlapping ones joined. */
function hunks(lines: readonly Line[]): [number, number][] {
  const ranges: [number, number][] = [];
  for (const [index, { kind }] of lines.entries()) {
    if (kind === ' ') continue;
    const from = Math.max(0, index - CONTEXT);
    const to = Math.min(lines.length, index + CONTEXT + 1);
    const last = ranges.at(-1);
    if (last && from <= last[1]) last[1] = to;
    else ranges.push([from, to]);
  }
  return ranges;
}

function position(lines: readonly Line[], index: number): { old: number; new: number } {
  const earlier = lines.slice(0, index);
  return {
    old: earlier.filter(({ kind }) => kind !== '+').length + 1,
    new: earlier.filter(({ kind }) => kind !== '-').length + 1,
  };
}
