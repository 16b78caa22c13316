import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import * as edits from '../../harness/config/edit.ts';
import { parseConfig } from '../../harness/config/load.ts';

const ROOT = new URL('../..', import.meta.url).pathname;
const TEXT = readFileSync(join(ROOT, 'envoy-configs/bookinfo/causeway.yaml'), 'utf8');
const valid = (text: string) => parseConfig(text, 'causeway.yaml');

/** Lines of one text that the other has not, in order. */
function added(before: string, after: string): string[] {
  const known = new Set(before.split('\n'));
  return after.split('\n').filter((line) => !known.has(line));
}

const rule = { name: 'dev3', match: { header: { name: 'end-user', exact: 'dev3' } }, lane: 'dev3' };

describe('edits', () => {
  it('make a lane with a service and a rule, and change no other line', () => {
    let text = edits.createLane(TEXT, 'dev3', { chain: ['dev1', 'base'] });
    text = edits.addService(text, 'dev3', 'reviews', { version: 'v3', env: { DELAY_MS: '5' } });
    text = edits.addRule(text, rule);
    expect(added(TEXT, text)).toEqual([
      '      dev3: { version: v3, env: { DELAY_MS: "5" } }',
      '  dev3: { chain: [ dev1, base ] }',
      '  - name: dev3',
      '    match: { header: { name: end-user, exact: dev3 } }',
      '    lane: dev3',
    ]);
    expect(added(text, TEXT)).toEqual([]);
    const config = valid(text);
    expect(config.services.reviews?.instances.dev3).toEqual({ version: 'v3', env: { DELAY_MS: '5' } });
  });

  it('undo each other to the byte', () => {
    const made = edits.addRule(edits.addService(edits.createLane(TEXT, 'dev3', {}), 'dev3', 'reviews', {}), rule);
    expect(edits.deleteLane(made, 'dev3')).toBe(TEXT);
    expect(edits.removeService(edits.removeRule(made, 'dev3'), 'dev3', 'reviews')).toBe(
      edits.createLane(TEXT, 'dev3', {}),
    );
  });

  it('keep comments that are not about what goes', () => {
    const text = edits.deleteLane(TEXT, 'dev2');
    for (const comment of ['# black stars', '# Bookinfo with two lanes', '# productpage and ratings only']) {
      expect(text).toContain(comment);
    }
    expect(text).not.toContain('dev2');
    valid(text);
  });

  it('work where there are no lanes and rules yet', () => {
    const bare = edits.deleteLane(edits.deleteLane(TEXT, 'dev1'), 'dev2');
    expect(bare).not.toMatch(/^(lanes|rules):/m);
    valid(bare);
    const text = edits.addRule(edits.createLane(bare, 'dev3', { mode: 'strict' }), rule);
    expect(valid(text).lanes).toEqual({ dev3: { mode: 'strict' } });
  });

  it('refuse what cannot be', () => {
    expect(() => edits.createLane(TEXT, 'dev1', {})).toThrow('lane dev1 exists already');
    expect(() => edits.deleteLane(TEXT, 'dev9')).toThrow('no lane dev9');
    expect(() => edits.addService(TEXT, 'dev1', 'cart', {})).toThrow('no service cart; there are: productpage');
    expect(() => edits.addService(TEXT, 'dev1', 'ratings', {})).toThrow('ratings runs in lane dev1 already');
    expect(() => edits.removeService(TEXT, 'dev1', 'details')).toThrow('details does not run in lane dev1');
    expect(() => edits.removeRule(TEXT, 'nope')).toThrow('no rule nope');
    expect(() => edits.createLane('a: [', 'x', {})).toThrow('cannot edit');
  });
});
