/** What `causeway` says to scripts by its exit status; also printed by `causeway help`. */
export const EXIT = {
  ok: 0,
  /** Something went wrong; standard error says what. */
  failed: 1,
  /** The command line or the configuration is not valid; nothing has been touched. */
  invalid: 2,
  /** An Envoy refused the new configuration; everything has been brought back. */
  rejected: 3,
  /** There is no such running mesh, or there is one already. */
  state: 4,
  /** Ended by Ctrl-C. */
  interrupted: 130,
} as const;

/** Thrown where a command knows its exit status. */
export class CommandError extends Error {
  override name = 'CommandError';
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}
