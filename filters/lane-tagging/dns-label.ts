/**
 * The DNS label of a lane, for places that take nothing else: names of Istio subsets, Kubernetes objects, hosts. Written
 * so that AssemblyScript and TypeScript both run it.
 */

const LETTERS_AND_DIGITS = 'abcdefghijklmnopqrstuvwxyz0123456789';
/** Length of the suffix that keeps mapped names apart. */
const SUFFIX = 7;
const LONGEST = 63;

/**
 * A label that is a DNS label already (lower case letters, digits, `-`; no `-` at an end) stays. Any other is lower-cased,
 * each other character becomes `-`, and `-` with 7 letters or digits of a hash of the original follows, so that `a.b`,
 * `a_b` and `A-b` differ. `lane`: a Kubernetes label value.
 */
export function dnsLabel(lane: string): string {
  let mapped = '';
  let hash: number = 7;
  for (let i = 0; i < lane.length; i++) {
    mapped += mappedLetter(lane.charCodeAt(i));
    // Below 2^53 doubles are exact: both languages get the same number.
    hash = (hash * 131 + lane.charCodeAt(i)) % 78364164071;
  }
  if (mapped === lane) return lane;
  let kept = mapped.slice(0, LONGEST - SUFFIX - 1);
  while (kept.endsWith('-')) kept = kept.slice(0, kept.length - 1);
  return `${kept}-${suffixOf(hash)}`;
}

function mappedLetter(code: number): string {
  for (let i = 0; i < 36; i++) {
    const letter = LETTERS_AND_DIGITS.charAt(i);
    const known = letter.charCodeAt(0);
    // 26 letters have an upper case, 32 below.
    if (code === known || (i < 26 && code === known - 32)) return letter;
  }
  return '-';
}

function suffixOf(hash: number): string {
  let rest = hash;
  let suffix = '';
  for (let i = 0; i < SUFFIX; i++) {
    const digit = rest % 36;
    for (let k = 0; k < 36; k++) {
      if (digit === k) suffix += LETTERS_AND_DIGITS.charAt(k);
    }
    rest = (rest - digit) / 36;
  }
  return suffix;
}
