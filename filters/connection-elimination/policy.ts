/**
 * What state is expected of a call, when a canary may go back to plain, and what the connection's actual state says.
 * Pure: times are milliseconds since 1970, given.
 */
import { Share } from '../lane-fallback/policy';

export enum Mode {
  Off,
  Canary,
  On,
}

export enum Expected {
  Plain,
  Tls,
  /** Drawn for TLS, but the canary is back at plain for a while. */
  Returned,
}

export enum Outcome {
  /** The connection was in the expected state. */
  Confirmed,
  Mismatch,
  /** The TLS handshake failed: the request never left. */
  Failed,
  /** No connection was made, for another reason than TLS. */
  Unconnected,
}

/** One callee. */
@final
export class ServiceTls {
  /**
   * The ratchet: some host of the service has completed TLS for this proxy. From then on whoever breaks a handshake
   * gets no plaintext. It never goes back while the process lives.
   */
  completed: bool = false;
  /** End of the way back to plain; 0 without one. */
  private plainUntil: u64 = 0;

  constructor(
    readonly mode: Mode,
    readonly share: Share,
    /** Milliseconds of one way back; 0 = never. */
    readonly returnMs: u64,
  ) {}

  /** The answer depends on the trace. */
  draws(): bool {
    return this.mode === Mode.Canary && !this.share.all();
  }

  /** The answer depends on the time. */
  mayReturn(): bool {
    return this.plainUntil !== 0 && this.mode === Mode.Canary && !this.completed;
  }

  /** `sticky` counts where `draws()`, `now` where `mayReturn()`. */
  expect(sticky: u64, now: u64): Expected {
    if (this.mode === Mode.Off) return Expected.Plain;
    if (this.mode === Mode.On) return Expected.Tls;
    if (!this.share.draws(sticky)) return Expected.Plain;
    return this.isBack(now) ? Expected.Returned : Expected.Tls;
  }

  /** The canary is back at plain. An end that is further away than one way back is long comes from a clock that has jumped. */
  isBack(now: u64): bool {
    return this.mayReturn() && now < this.plainUntil && this.plainUntil - now <= this.returnMs;
  }

  /** A handshake has failed. True where the canary goes back to plain, from now on until `until()`. */
  failed(now: u64): bool {
    if (this.mode !== Mode.Canary || this.completed || this.returnMs === 0) return false;
    this.plainUntil = now + this.returnMs;
    return true;
  }

  until(): u64 {
    return this.plainUntil;
  }

  /** What another worker has said; the later end counts. */
  learn(until: u64): void {
    if (until > this.plainUntil) this.plainUntil = until;
  }
}

/**
 * `tls`: the connection has a TLS version. `connected`: it has a local address. `refused`: the transport says that TLS failed.
 * The last two count only where TLS was expected and there is none.
 */
export function judge(expectsTls: bool, tls: bool, connected: bool, refused: bool): Outcome {
  if (tls) return expectsTls ? Outcome.Confirmed : Outcome.Mismatch;
  if (!expectsTls) return Outcome.Confirmed;
  if (connected) return Outcome.Mismatch;
  return refused ? Outcome.Failed : Outcome.Unconnected;
}

/**
 * Whether an HTTP/1 connection that the pool has chosen is to be retired with this request. A connection that is not made yet
 * (`pooled` false) will be made in the wanted state anyway.
 */
export function isStale(wantsTls: bool, tls: bool, pooled: bool): bool {
  return pooled && wantsTls !== tls;
}
