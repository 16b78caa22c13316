/**
 * The requests of this worker that were let in and go on, in a list that outlives a configuration: those of the one before
 * still flow when an instance is isolated by a new one.
 */
import { closeStream, HttpStream, StreamType, setEffectiveContext } from 'proxy-wasm-assemblyscript-sdk';

/** Resets of one tick; the rest follows with the next one. */
const MOST_RESETS: i32 = 64;

/** A stream that knows its neighbours. */
export abstract class Flowing extends HttpStream {
  private before: Flowing | null = null;
  private after: Flowing | null = null;
  private listed: bool = false;

  protected enter(): void {
    this.listed = true;
    this.before = null;
    this.after = first;
    if (first !== null) first!.before = this;
    first = this;
  }

  protected leave(): void {
    if (!this.listed) return;
    this.listed = false;
    const before = this.before;
    const after = this.after;
    if (before === null) first = after;
    else before.after = after;
    if (after !== null) after.before = before;
    this.before = null;
    this.after = null;
  }

  /** Ends it at both sides, within a tick of the root context `rootId`. */
  reset(rootId: u32): void {
    this.leave();
    setEffectiveContext(this.contextId);
    closeStream(StreamType.HttpRequest);
    setEffectiveContext(rootId);
  }
}

let first: Flowing | null = null;

/** Resets what flows; answers how many have been. To be called from the tick of the root context `rootId`. */
export function resetFlowing(rootId: u32): i32 {
  let done = 0;
  for (let stream = first; stream !== null && done < MOST_RESETS; stream = first) {
    stream.reset(rootId);
    done++;
  }
  return done;
}
