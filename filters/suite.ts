/**
 * causeway.wasm: one module for every place in the mesh. `root_id` chooses what runs; a table of contents.
 *
 *   causeway            every filter whose section its configuration has, fused in one context
 *   <a filter's name>   that filter alone
 *   outlier-blacklist.tries   the access logger of the router that tells of failed tries
 *   event-isolation     the network filter before a message broker
 *   agent               the singleton (`envoy.bootstrap.wasm`)
 */
import { register } from 'proxy-wasm-assemblyscript-sdk';
import { AdaptiveRateLimitPlugin } from './adaptive-rate-limit/filter';
import { AgentPlugin } from './agent/filter';
import { ConnectionEliminationPlugin } from './connection-elimination/filter';
import { DegradationPlugin } from './degradation/filter';
import { EventIsolationPlugin } from './event-isolation/filter';
import { Suite } from './fused-suite';
import { IsolationPlugin } from './isolation/filter';
import { LaneFallbackPlugin } from './lane-fallback/filter';
import { LaneTaggingPlugin } from './lane-tagging/filter';
import { OutlierBlacklistPlugin } from './outlier-blacklist/filter';
import { TriesPlugin } from './outlier-blacklist/tries';
import { OverloadSheddingPlugin } from './overload-shedding/filter';
import { TracePropagationPlugin } from './trace-propagation/filter';

register('causeway', () => new Suite());
register('lane-tagging', () => new LaneTaggingPlugin());
register('trace-propagation', () => new TracePropagationPlugin());
register('lane-fallback', () => new LaneFallbackPlugin());
register('outlier-blacklist', () => new OutlierBlacklistPlugin());
register('outlier-blacklist.tries', () => new TriesPlugin());
register('adaptive-rate-limit', () => new AdaptiveRateLimitPlugin());
register('isolation', () => new IsolationPlugin());
register('event-isolation', () => new EventIsolationPlugin());
register('overload-shedding', () => new OverloadSheddingPlugin());
register('connection-elimination', () => new ConnectionEliminationPlugin());
register('degradation', () => new DegradationPlugin());
register('agent', () => new AgentPlugin());

export * from 'proxy-wasm-assemblyscript-sdk/exports/core';
export * from 'proxy-wasm-assemblyscript-sdk/exports/http-call';
export * from 'proxy-wasm-assemblyscript-sdk/exports/http-request-headers';
export * from 'proxy-wasm-assemblyscript-sdk/exports/log';
export * from 'proxy-wasm-assemblyscript-sdk/exports/tcp-connections';
export * from 'proxy-wasm-assemblyscript-sdk/exports/timer';
