/** From a rate that may be admitted to the key that it reaches. */
import { ALL, CLASSES, COHORTS } from './priority';

/**
 * The first key that is over: the most important requests up to `admit` (any unit) of `offered` in the same unit, by the
 * proportions of `classes`. Cohorts of one class are hashes, hence alike. Class 0 is always under.
 */
export function thresholdFor(admit: f64, offered: f64, classes: StaticArray<f64>): i32 {
  let total: f64 = 0;
  for (let i = 0; i < CLASSES; i++) total += unchecked(classes[i]);
  if (!(total > 0) || !(offered > admit)) return ALL;
  let left = max<f64>(0, admit / offered) * total;
  for (let i = 0; i < CLASSES; i++) {
    const share = unchecked(classes[i]);
    if (i > 0 && share > left) return i * COHORTS + (min<f64>((left / share) * (COHORTS as f64), COHORTS - 1) as i32);
    left = max<f64>(0, left - share);
  }
  return ALL;
}
