import { afterEach, describe, expect, test } from 'vitest';
import { compilePlugin } from '../support/compile-plugin.ts';
import { startTcpTwin, type TcpConnection, type TcpTwin } from '../support/tcp-twin.ts';
import { TWIN_KINDS } from '../support/twin.ts';

describe.each(TWIN_KINDS)('TCP connections in %s', (kind) => {
  let twin: TcpTwin;
  afterEach(() => twin?.stop());

  async function start(configuration: string): Promise<TcpTwin> {
    twin = await startTcpTwin(kind, {
      module: await compilePlugin('test/plugins/tcp.ts'),
      rootId: 'tcp',
      configuration,
    });
    return twin;
  }

  async function echoed(connection: TcpConnection, all: string): Promise<void> {
    await twin.eventually(`${JSON.stringify(all)} comes back`, async () => connection.received() === all);
  }

  test('bytes are seen in both directions and changed on the way', async () => {
    await start('');
    const connection = await twin.open();
    await connection.send('hello');
    await echoed(connection, 'hello!');
    await connection.send('again');
    await echoed(connection, 'hello!again!');
    await connection.end();
    await twin.eventually('the end', async () => (await twin.logs()).includes('log'));
    // The server closes when the client has; towards the client that is Envoy's own doing.
    expect((await twin.logs()).filter((line) => line !== 'log')).toEqual([
      'new, source known: yes',
      'client says "hello"',
      'server says "hello!"',
      'client says "again"',
      'server says "again!"',
      'closed here',
    ]);
  });

  test('any byte passes', async () => {
    await start('');
    const connection = await twin.open();
    const bytes = Array.from({ length: 256 }, (_, i) => String.fromCharCode(i)).join('');
    await connection.send(bytes);
    await echoed(connection, `${bytes}!`);
  });

  test('a connection is refused before any byte', async () => {
    await start('refuse');
    const connection = await twin.open();
    await twin.eventually('it is closed', async () => connection.closed());
    expect(connection.received()).toBe('');
    expect(await twin.logs()).toContain('refused');
  });

  test('the plugin closes a connection in the middle', async () => {
    await start('');
    const connection = await twin.open();
    await connection.send('hello');
    await echoed(connection, 'hello!');
    await connection.send('close');
    await twin.eventually('it is closed', async () => connection.closed());
    await twin.eventually('the callback', async () => (await twin.logs()).includes('closed here'));
  });

  test('a tick closes every open connection, and none that has gone', async () => {
    await start('');
    const gone = await twin.open();
    await gone.send('x');
    await echoed(gone, 'x!');
    await gone.end();
    await twin.eventually('it has gone', async () => (await twin.logs()).includes('log'));
    const [one, two] = [await twin.open(), await twin.open()];
    await one.send('one');
    await echoed(one, 'one!');
    await two.send('kick');
    await twin.eventually('both are closed', async () => one.closed() && two.closed());
    expect(await twin.logs()).toContain('kick 2');
  });
});
