/**
 * causeway.wasm: one module for every place in the mesh. `root_id` chooses what runs; a table of contents.
 *
 *   causeway            every filter whose section its configuration has, fused in one context
 *   lane-tagging           \
 *   trace-propagation       |
 *   lane-fallback           | one filter alone
 *   overload-shedding       |
 *   connection-elimination /
 */
import { register } from 'proxy-wasm-assemblyscript-sdk';
import { ConnectionEliminationPlugin } from './connection-elimination/filter';
import { Suite } from './fused-suite';
import { LaneFallbackPlugin } from './lane-fallback/filter';
import { LaneTaggingPlugin } from './lane-tagging/filter';
import { OverloadSheddingPlugin } from './overload-shedding/filter';
import { TracePropagationPlugin } from './trace-propagation/filter';

register('causeway', () => new Suite());
register('lane-tagging', () => new LaneTaggingPlugin());
register('trace-propagation', () => new TracePropagationPlugin());
register('lane-fallback', () => new LaneFallbackPlugin());
register('overload-shedding', () => new OverloadSheddingPlugin());
register('connection-elimination', () => new ConnectionEliminationPlugin());

export * from 'proxy-wasm-assemblyscript-sdk/exports/core';
export * from 'proxy-wasm-assemblyscript-sdk/exports/http-request-headers';
export * from 'proxy-wasm-assemblyscript-sdk/exports/log';
export * from 'proxy-wasm-assemblyscript-sdk/exports/timer';
