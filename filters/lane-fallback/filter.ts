/**
 * Hands each call an ordered chain of lanes (outbound, gateway), redirects what arrives to another unit (inbound), and
 * counts per edge which lane was wanted and which served. README.md says how the chain becomes an instance.
 */
import {
  addHeader,
  ascii,
  FilterHeadersStatus,
  getProperty,
  HttpStream,
  MapType,
  present,
  propertySegments,
  Slice,
  sendLocalResponse,
  setHeader,
} from 'proxy-wasm-assemblyscript-sdk';
import { Json } from 'proxy-wasm-assemblyscript-sdk/config/json';
import { authority, chooseChain, header, sticky, tag, useTagHeader } from '../exchange';
import { FALLBACK_LIST, LANE, REDIRECT, REDIRECTED, STRICT } from '../headers';
import { dropExpressions } from '../lane-tagging/matcher.host';
import { MatchPlan } from '../lane-tagging/matcher.policy';
import { FilterPlugin } from '../plugin';
import { compileConfig, Edges, FallbackConfig } from './config';
import { FallbackMetrics, NOBODY } from './metrics';
import { UNKNOWN } from './name-table';
import { NO_RULE, RequestView } from './policy';
import { compilePlan, REQUEST } from './rule-matches';

const LANE_NAME = ascii(LANE);
const LIST = ascii(FALLBACK_LIST);
const STRICT_TOKEN = ascii(STRICT);
const REDIRECT_TOKEN = ascii(REDIRECT);
const HOP = ascii(REDIRECTED);
const ONE = ascii('1');

/** Lane of the answering host, under the key of stage 1: there for whatever the first tries reached. */
const FIRST_LANE = propertySegments(['xds', 'upstream_host_metadata', 'filter_metadata', 'envoy.lb', 'lane']);
/** The same for any stage. */
const ANY_LANE = propertySegments(['xds', 'upstream_host_metadata', 'filter_metadata', 'causeway', 'lane']);

/** 508 Loop Detected. */
const LOOP_DETECTED: u32 = 508;
const LOOP_DETAILS = ascii('causeway_redirect_loop');
const LOOP_BODY = ascii('causeway: this request has been redirected before and may not be again\n');

@final
export class LaneFallbackPlugin extends FilterPlugin {
  private compiled: FallbackConfig | null = null;
  private counters: FallbackMetrics | null = null;
  private rules: RuleView | null = null;

  filterName(): string {
    return 'lane-fallback';
  }

  configure(section: Json): bool {
    const config = compileConfig(section);
    const plan = compilePlan(section, config.inbound ? 'redirects' : 'steering');
    if (plan === null) return false;
    useTagHeader(config.tagHeader);
    this.compiled = config;
    this.rules = new RuleView(plan);
    this.counters = new FallbackMetrics(
      config.laneLabels,
      config.serviceLabels,
      config.ruleNames,
      config.redirectNames,
    );
    return true;
  }

  onDelete(): void {
    const rules = this.rules;
    if (rules !== null) rules.release();
  }

  createStream(): HttpStream {
    const config = this.compiled!;
    const counters = this.counters!;
    const rules = this.rules!;
    return config.inbound ? new RedirectStream(config, counters, rules) : new FallbackStream(config, counters, rules);
  }
}

/** What rules ask of the request of the running callback. */
@final
class RuleView extends RequestView {
  constructor(private readonly plan: MatchPlan) {
    super();
  }

  matches(rule: i32): bool {
    return this.plan.matches(rule, REQUEST);
  }

  sticky(): u64 {
    return sticky();
  }

  begin(): void {
    this.plan.begin();
  }

  release(): void {
    dropExpressions(this.plan);
  }
}

/** One outgoing call. */
@final
class FallbackStream extends HttpStream {
  private counted: bool = false;
  private service: i32 = UNKNOWN;
  private wanted: i32 = UNKNOWN;

  constructor(
    private readonly config: FallbackConfig,
    private readonly counters: FallbackMetrics,
    private readonly rules: RuleView,
  ) {
    super();
  }

  onRequestHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    const config = this.config;
    const asked = tag();
    if (!present(asked) && config.untaggedPasses) return FilterHeadersStatus.Continue;
    const policy = config.policy;
    this.service = config.authorities.find(authority());
    this.rules.begin();
    policy.decide(asked, this.service, this.rules);
    this.wanted = policy.wanted;
    chooseChain(policy.chain);
    if (present(policy.lane)) choose(LANE_NAME, policy.lane);
    else if (present(policy.list)) choose(LIST, policy.list);
    if (policy.strict) setHeader(MapType.RequestHeaders, STRICT_TOKEN, ONE);
    if (policy.badTag) this.counters.countBadTag();
    if (policy.rule !== NO_RULE) this.counters.countSteered(policy.rule);
    this.counted = config.edges === Edges.All || (config.edges === Edges.Tagged && present(asked));
    return FilterHeadersStatus.Continue;
  }

  onLog(): void {
    if (!this.counted) return;
    this.counted = false;
    const own = this.config.served;
    const first = getProperty(present(own) ? own : FIRST_LANE);
    const served = present(first) || present(own) ? first : getProperty(ANY_LANE);
    if (!present(served)) {
      this.counters.countEdge(this.service, this.wanted, NOBODY);
      return;
    }
    if (!present(first)) this.counters.countLaterTry(this.service);
    this.counters.countEdge(this.service, this.wanted, this.config.policy.laneOf(served));
  }

  onReset(): void {
    this.counted = false;
  }
}

/** Adding costs Envoy half of what replacing does; a header that is there already, though the chain strips it, must go. */
function choose(name: Slice, value: Slice): void {
  if (present(header(name))) setHeader(MapType.RequestHeaders, name, value);
  else addHeader(MapType.RequestHeaders, name, value);
}

/** One arriving request. */
@final
class RedirectStream extends HttpStream {
  constructor(
    private readonly config: FallbackConfig,
    private readonly counters: FallbackMetrics,
    private readonly rules: RuleView,
  ) {
    super();
  }

  onRequestHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    const redirects = this.config.redirects;
    if (redirects.length === 0) return FilterHeadersStatus.Continue;
    this.rules.begin();
    for (let i = 0; i < redirects.length; i++) {
      const rule = unchecked(redirects[i]);
      if (!rule.share.draws(rule.share.all() ? 0 : sticky()) || !this.rules.matches(i)) continue;
      return this.redirect(i, rule.unit);
    }
    return FilterHeadersStatus.Continue;
  }

  /** One hop only: units that redirect to each other would send a request round for ever. */
  private redirect(rule: i32, unit: Slice): FilterHeadersStatus {
    if (present(header(HOP))) {
      this.counters.countLoop();
      sendLocalResponse(LOOP_DETECTED, LOOP_DETAILS, LOOP_BODY, null);
      return FilterHeadersStatus.StopIteration;
    }
    this.counters.countRedirected(rule);
    setHeader(MapType.RequestHeaders, HOP, ONE);
    setHeader(MapType.RequestHeaders, REDIRECT_TOKEN, unit);
    return FilterHeadersStatus.Continue;
  }
}
