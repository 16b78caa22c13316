import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { diffLines, unifiedDiff } from '../../harness/apply/diff.ts';

describe('the diff of two texts', () => {
  it('holds both texts, whatever they are', () => {
    const lines = fc.array(fc.constantFrom('a', 'b', 'c', ''), { maxLength: 30 });
    fc.assert(
      fc.property(lines, lines, (before, after) => {
        const diff = diffLines(before, after);
        expect(diff.filter(({ kind }) => kind !== '+').map(({ text }) => text)).toEqual(before);
        expect(diff.filter(({ kind }) => kind !== '-').map(({ text }) => text)).toEqual(after);
      }),
      { numRuns: 500 },
    );
  });

  it('is as short as can be', () => {
    const before = ['a', 'b', 'c', 'a', 'b', 'b', 'a'];
    const after = ['c', 'b', 'a', 'b', 'a', 'c'];
    expect(diffLines(before, after).filter(({ kind }) => kind !== ' ')).toHaveLength(5);
  });

  it('shows hunks with their places and three lines around', () => {
    const before = Array.from({ length: 20 }, (_, index) => `line ${index + 1}`);
    const after = [...before.slice(0, 4), 'new', ...before.slice(5)];
    expect(unifiedDiff(`${before.join('\n')}\n`, `${after.join('\n')}\n`, 'x')).toBe(
      [
        '--- x (running)',
        '+++ x',
        '@@ -2,7 +2,7 @@',
        ' line 2',
        ' line 3',
        ' line 4',
        '-line 5',
        '+new',
        ' line 6',
        ' line 7',
        ' line 8',
        '',
      ].join('\n'),
    );
    expect(unifiedDiff('a\n', 'a\n', 'x')).toBe('');
  });
});
