/**
 * From the host's context ids to our objects. Streams sit in an open-addressed table with linear probing: Envoy counts
 * ids upwards, so that almost every look-up hits at once. A deletion moves the entries behind it back instead of
 * leaving a tombstone, so that probes stay short however many streams have passed.
 */

import { RootContext, StreamContext, StreamPlugin } from './context';
import { logCritical } from './log';
import { getProperty, propertyPath } from './properties';
import { text } from './slice';

const ROOT_ID = propertyPath('plugin_root_id');
const INITIAL_CAPACITY: i32 = 1024;

const names: Array<string> = [];
const factories: Array<() => RootContext> = [];
const roots: Array<RootContext> = [];

let ids: StaticArray<u32> = new StaticArray<u32>(INITIAL_CAPACITY);
let streams: StaticArray<StreamContext | null> = new StaticArray<StreamContext | null>(INITIAL_CAPACITY);
let live: i32 = 0;

/** Registers the plugin for `rootId`. To be called from the entry module's top level. */
export function register(rootId: string, factory: () => RootContext): void {
  names.push(rootId);
  factories.push(factory);
}

export function rootOf(id: u32): RootContext | null {
  for (let i = roots.length - 1; i >= 0; i--) {
    if (unchecked(roots[i]).id === id) return unchecked(roots[i]);
  }
  return null;
}

export function streamOf(id: u32): StreamContext | null {
  const mask = ids.length - 1;
  let i = (id as i32) & mask;
  while (unchecked(ids[i]) !== id) {
    if (unchecked(ids[i]) === 0) return null;
    i = (i + 1) & mask;
  }
  return unchecked(streams[i]);
}

/** A context begins: a root when `parent` is 0, else a stream of the root `parent`. Unknown ids are left alone. */
export function createContext(id: u32, parent: u32): void {
  if (id === 0) return;
  if (parent === 0) {
    const root = createRoot();
    if (root === null) return;
    root.id = id;
    roots.push(root);
    return;
  }
  const root = rootOf(parent);
  if (root instanceof StreamPlugin) insert(id, (root as StreamPlugin).open(id));
}

function createRoot(): RootContext | null {
  const name = text(getProperty(ROOT_ID));
  for (let i = 0; i < names.length; i++) {
    if (names[i] === name) return factories[i]();
  }
  logCritical('root_id: found "' + name + '", expected one of: ' + names.join(', '));
  return null;
}

/** A context ends; its object is no longer reachable by `id`. */
export function deleteContext(id: u32): void {
  const stream = remove(id);
  if (stream !== null) {
    stream.onReset();
    stream.contextId = 0;
    const home = stream.home;
    if (home !== null) home.give(stream);
    return;
  }
  for (let i = 0; i < roots.length; i++) {
    if (roots[i].id !== id) continue;
    roots[i].onDelete();
    roots.splice(i, 1);
    return;
  }
}

function insert(id: u32, stream: StreamContext): void {
  if (live * 2 >= ids.length) grow();
  const mask = ids.length - 1;
  let i = (id as i32) & mask;
  while (unchecked(ids[i]) !== 0 && unchecked(ids[i]) !== id) i = (i + 1) & mask;
  if (unchecked(ids[i]) === 0) live++;
  unchecked((ids[i] = id));
  unchecked((streams[i] = stream));
}

function remove(id: u32): StreamContext | null {
  const mask = ids.length - 1;
  let hole = (id as i32) & mask;
  while (unchecked(ids[hole]) !== id) {
    if (unchecked(ids[hole]) === 0) return null;
    hole = (hole + 1) & mask;
  }
  const stream = unchecked(streams[hole]);
  live--;
  for (let i = (hole + 1) & mask; unchecked(ids[i]) !== 0; i = (i + 1) & mask) {
    const distance = (i - (unchecked(ids[i]) as i32)) & mask;
    // The entry may fill the hole unless that would put it before its own first place.
    if (distance >= ((i - hole) & mask)) {
      unchecked((ids[hole] = ids[i]));
      unchecked((streams[hole] = streams[i]));
      hole = i;
    }
  }
  unchecked((ids[hole] = 0));
  unchecked((streams[hole] = null));
  return stream;
}

function grow(): void {
  const oldIds = ids;
  const oldStreams = streams;
  ids = new StaticArray<u32>(oldIds.length * 2);
  streams = new StaticArray<StreamContext | null>(oldIds.length * 2);
  live = 0;
  for (let i = 0; i < oldIds.length; i++) {
    const stream = oldStreams[i];
    if (oldIds[i] !== 0 && stream !== null) insert(oldIds[i], stream);
  }
}
