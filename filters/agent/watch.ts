/**
 * Asks the healing centre whether this instance is to be isolated. The centre keeps the question until it has something new, or
 * for some seconds: an order is here at once, and nobody asks often. Every failure has the same end: an order expires.
 */
import {
  ascii,
  callBody,
  EMPTY,
  Gauge,
  gauge,
  HttpCallHandler,
  httpCall,
  lenOf,
  PairWriter,
  ptrOf,
  Slice,
  Status,
  slice,
  text,
} from 'proxy-wasm-assemblyscript-sdk';
import { setOrdered } from '../isolation/shared';
import { MAX_ORDER, Order, OrderAnswer } from './order';
import { Jitter, Outcome, Outcomes, refusal } from './outcome';
import { writeDecimal } from './report';

/** Longer than the centre keeps a question. */
const TIMEOUT_MS: u32 = 30_000;
/** Whatever the centre does, it is not asked more often. */
const SOONEST_MS: i64 = 500;
const RETRY_MS: i64 = 2_000;
const LONGEST_NUMBER: i32 = 20;

const METHOD = ascii(':method');
const GET = ascii('GET');
const PATH = ascii(':path');
const AUTHORITY = ascii(':authority');

@final
export class OrderWatch extends HttpCallHandler {
  private readonly order: Order = new Order();
  private readonly answer: OrderAnswer = new OrderAnswer();
  private readonly headers: PairWriter = new PairWriter(3);
  private readonly outcomes: Outcomes = new Outcomes('centre_watches');
  private readonly isolated: Gauge = gauge('causeway_agent_centre_isolated');
  private readonly path: usize;
  private readonly pathLength: i32;

  private time: i64 = 0;
  private nextAt: i64 = 0;
  private open: bool = false;

  constructor(
    private readonly contextId: u32,
    private readonly cluster: Slice,
    private readonly authority: Slice,
    instance: Slice,
    private readonly jitter: Jitter,
  ) {
    super();
    const fixed = ascii('/v1/isolations/' + text(instance) + '?known=');
    this.pathLength = lenOf(fixed);
    this.path = heap.alloc(this.pathLength + LONGEST_NUMBER);
    memory.copy(this.path, ptrOf(fixed), this.pathLength);
  }

  tick(nanoseconds: u64): void {
    const now = (nanoseconds / 1_000_000) as i64;
    this.time = now;
    this.isolated.set(this.order.until > now ? 1 : 0);
    // A clock that was set back is no reason to wait for longer than ever.
    if (this.open || (now < this.nextAt && this.nextAt - now <= 2 * RETRY_MS)) return;
    const digits = writeDecimal(this.path + this.pathLength, this.order.known);
    const path = slice(this.path, this.pathLength + digits);
    const headers = this.headers.clear().add(METHOD, GET).add(PATH, path).add(AUTHORITY, this.authority);
    this.open = httpCall(this.contextId, this.cluster, headers, EMPTY, TIMEOUT_MS, this) === Status.Ok;
    this.nextAt = now + SOONEST_MS;
    if (!this.open) this.end(Outcome.Failed);
  }

  onAnswer(status: u32, bodySize: u32): void {
    this.open = false;
    this.end(this.outcome(status, bodySize));
  }

  private outcome(status: u32, bodySize: u32): Outcome {
    if (status !== 200) return refusal(status);
    const size = min<u32>(bodySize, MAX_ORDER + 1);
    if (!this.answer.read(size === 0 ? EMPTY : callBody(0, size))) return Outcome.Malformed;
    return this.order.take(this.answer, this.time) ? Outcome.Ok : Outcome.Stale;
  }

  /** What holds is said again, so that the filters know that somebody has been asked. */
  private end(outcome: Outcome): void {
    this.outcomes.count(outcome);
    if (outcome !== Outcome.Ok) this.nextAt = this.time + this.jitter.of(RETRY_MS, 50);
    setOrdered(this.order.until);
  }
}
