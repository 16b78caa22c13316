import type { Status } from './status.ts';

/**
 * The guest did what no correct plugin does: a pointer outside its memory, a call in the wrong phase, an unknown
 * context id. It ends the test that met it, because Envoy would answer with a status that plugins rarely look at.
 */
export class Refusal extends Error {
  override name = 'Refusal';
}

/**
 * Raised inside a host function. The dispatcher turns it into a `Refusal` in strict mode, and into the status
 * that Envoy returns otherwise.
 */
export class Misuse extends Error {
  readonly status: Status;

  constructor(status: Status, why: string) {
    super(why);
    this.status = status;
  }
}

/** The test drives a stream in an order that no proxy produces (a mistake of the test, not of the plugin). */
export class ImpossibleSequence extends Error {
  override name = 'ImpossibleSequence';
}
