import { describe, expect, test } from 'vitest';
import { EmulatedHost, LogLevel } from '../emulator/index.ts';
import { compilePlugin } from '../support/compile-plugin.ts';

const life = compilePlugin('test/plugins/life.ts');

describe('configurations', () => {
  test('a new one takes over in the same VM, the old one ends, metrics go on', async () => {
    const host = await EmulatedHost.load(await life);
    const vm = host.vm({ rootId: 'life', vmConfiguration: 'inbound', configuration: 'one' });
    const old = vm.httpStream();
    old.requestHeaders();
    vm.reconfigure('two');
    // A stream keeps the configuration that it began with.
    old.responseHeaders();
    old.end();
    vm.exchange();
    host.clock.advance(1000);
    expect(host.messages()).toEqual([
      'configured 1 by inbound',
      'request with one',
      'configured 2 by inbound',
      'done one',
      'delete one',
      'request with two',
    ]);
    expect(host.metrics.value('life_requests_total')).toBe(2);
  });

  test('a refused one leaves the old one at work', async () => {
    const host = await EmulatedHost.load(await life);
    const vm = host.vm({ rootId: 'life', configuration: 'one' });
    expect(vm.reconfigure('bad').configured).toBe(false);
    vm.exchange();
    expect(host.messages(LogLevel.Critical)).toEqual(['life: found "bad", expected anything else']);
    expect(host.messages().at(-1)).toBe('request with one');
  });

  test('an unknown root_id is refused by name', async () => {
    const host = await EmulatedHost.load(await life);
    const vm = host.vm({ rootId: 'live' });
    expect(vm.configured).toBe(false);
    expect(host.messages(LogLevel.Critical)).toEqual(['root_id: found "live", expected one of: life']);
  });

  test('two plugins in one VM have streams and configurations of their own', async () => {
    const host = await EmulatedHost.load(await life);
    const vm = host.vm({ rootId: 'life', configuration: 'one' });
    const second = vm.addPlugin({ rootId: 'life', configuration: 'two' });
    vm.exchange();
    vm.exchange({ root: second });
    vm.shutdown();
    expect(host.messages().filter((line) => !line.startsWith('configured'))).toEqual([
      'request with one',
      'request with two',
      'done one',
      'delete one',
      'done two',
      'delete two',
    ]);
  });

  test('a thousand configurations in one VM do not fill it', async () => {
    const host = await EmulatedHost.load(await life, { record: false });
    const vm = host.vm({ rootId: 'life', configuration: 'first' });
    for (let i = 0; i < 50; i++) vm.reconfigure(`warm ${i}`);
    const before = vm.instance.memory.size;
    for (let i = 0; i < 1000; i++) {
      vm.reconfigure(`next ${i}`);
      vm.exchange();
    }
    expect(vm.instance.memory.size).toBeLessThanOrEqual(before + 128 * 1024);
  });
});

describe('the log level', () => {
  test('is asked on ticks, not per message: below it nothing reaches the host', async () => {
    const host = await EmulatedHost.load(await life);
    const vm = host.vm({ rootId: 'life', configuration: 'one' });
    host.logLevel = LogLevel.Warn;
    vm.exchange();
    expect(host.calls.count('proxy_log')).toBe(2);
    vm.root.tick();
    vm.exchange();
    expect(host.calls.count('proxy_log')).toBe(2);
    host.logLevel = LogLevel.Info;
    vm.root.tick();
    vm.exchange();
    expect(host.messages().at(-1)).toBe('request with one');
  });
});
