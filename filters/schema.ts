import Type, { type Static } from 'typebox';
import { sections } from './sections.gen.ts';

/** Configuration of the suite (`root_id` `causeway`): a section for each filter that is to run, in one HTTP context. */
export const SuiteSchema = Type.Object(sections, { additionalProperties: false, minProperties: 1 });

export type SuiteConfig = Static<typeof SuiteSchema>;
