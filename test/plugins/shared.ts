/** Twin of Envoy's `shared_data` and `shared_queue` plugins: compare-and-set rules, and a queue to oneself. */
import {
  ascii,
  dequeue,
  enqueue,
  FilterHeadersStatus,
  getShared,
  HttpPlugin,
  HttpStream,
  lastCas,
  logInfo,
  logWarn,
  present,
  register,
  registerQueue,
  resolveQueue,
  Slice,
  setShared,
} from 'proxy-wasm-assemblyscript-sdk';
import { say, show } from './say';

const KEY = ascii('key');
const FRESH = ascii('fresh');
const NEVER = ascii('never set');
const QUEUE = ascii('my queue');
const NO_QUEUE_NAME = ascii('no such queue');
const SELF = ascii('');
const TWINS = ascii('twins');
const OTHER = ascii('other vm');

class Shared extends HttpStream {
  onRequestHeaders(count: u32, endOfStream: bool): FilterHeadersStatus {
    this.data();
    this.queue();
    return FilterHeadersStatus.Continue;
  }

  data(): void {
    logInfo('never set: ' + show(getShared(NEVER)));
    say('first creation with any number', setShared(FRESH, ascii('0'), 12345));
    say('overwrite', setShared(KEY, ascii('1'), 0));
    getShared(KEY);
    const first = lastCas();
    say('with its number', setShared(KEY, ascii('2'), first));
    say('with an old number', setShared(KEY, ascii('3'), first));
    logInfo('value ' + show(getShared(KEY)) + ' newer ' + (lastCas() > first ? 'yes' : 'no'));
    say('empty value', setShared(KEY, ascii(''), 0));
    logInfo('empty ' + show(getShared(KEY)));
  }

  queue(): void {
    logWarn('resolve ' + (resolveQueue(SELF, NO_QUEUE_NAME) === 0 ? 'no' : 'yes'));
    logWarn('resolve ' + (resolveQueue(OTHER, QUEUE) === 0 ? 'no' : 'yes'));
    const queue = resolveQueue(TWINS, QUEUE);
    logWarn('resolve ' + (queue !== 0 && queue === resolveQueue(SELF, QUEUE) ? 'same' : 'differs'));
    say('enqueue', enqueue(queue, ascii('one')));
    say('enqueue', enqueue(queue, ascii('two')));
    say('enqueue nowhere', enqueue(9999999, ascii('lost')));
    logInfo('request done');
  }
}

class SharedPlugin extends HttpPlugin {
  onConfigure(configuration: Slice): bool {
    return registerQueue(QUEUE) !== 0;
  }

  createStream(): HttpStream {
    return new Shared();
  }

  onQueueReady(queue: u32): void {
    const item = dequeue(queue);
    logInfo('queue ready ' + show(item));
    if (!present(item)) logInfo('queue is empty');
  }
}

register('shared', () => new SharedPlugin());

export * from 'proxy-wasm-assemblyscript-sdk/exports/core';
export * from 'proxy-wasm-assemblyscript-sdk/exports/http-headers';
export * from 'proxy-wasm-assemblyscript-sdk/exports/queue';
