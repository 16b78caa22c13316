/** What the centre does not do, and why. */
export class Refusal extends Error {
  readonly status: 403 | 409 | 429;

  constructor(status: 403 | 409 | 429, message: string) {
    super(message);
    this.status = status;
  }
}
