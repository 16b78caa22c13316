/**
 * The streams of this worker that are open, in a list that outlives a configuration: those of the one before are open still
 * when an instance is isolated by a new one.
 */
import { closeStream, StreamContext, StreamType, setEffectiveContext } from 'proxy-wasm-assemblyscript-sdk';

/** Closed in one tick; the rest follows with the next one. */
const MOST_CLOSED: i32 = 64;

/** A stream's place in the list; each stream object has one of its own, as long as it lives. */
@final
export class Place {
  before: Place | null = null;
  after: Place | null = null;
  /** Null while it is not in the list. */
  stream: StreamContext | null = null;
}

@final
export class OpenStreams {
  private first: Place | null = null;

  constructor(private readonly type: StreamType) {}

  enter(place: Place, stream: StreamContext): void {
    const first = this.first;
    place.stream = stream;
    place.before = null;
    place.after = first;
    if (first !== null) first.before = place;
    this.first = place;
  }

  /** False when it was not in the list. */
  leave(place: Place): bool {
    if (place.stream === null) return false;
    const before = place.before;
    const after = place.after;
    if (before === null) this.first = after;
    else before.after = after;
    if (after !== null) after.before = before;
    place.before = null;
    place.after = null;
    place.stream = null;
    return true;
  }

  /**
   * Closes what is open, each after its `onReset`, by which it leaves; answers how many have been. To be called from a tick of the
   * root context `rootId`.
   */
  close(rootId: u32): i32 {
    let done = 0;
    for (let place = this.first; place !== null && done < MOST_CLOSED; place = this.first) {
      const stream = place.stream!;
      stream.onReset();
      setEffectiveContext(stream.contextId);
      closeStream(this.type);
      done++;
    }
    if (done > 0) setEffectiveContext(rootId);
    return done;
  }
}
