import { suiteFilter } from '../../support/suite-filter.ts';
import type { HttpFilter } from '../config.ts';

/** The suite's module alone as lane-fallback, at a caller's side unless the section says otherwise. */
export async function fallbackFilter(section: Readonly<Record<string, unknown>>): Promise<HttpFilter> {
  return suiteFilter('lane-fallback', String(section.direction ?? 'outbound'), { direction: 'outbound', ...section });
}
