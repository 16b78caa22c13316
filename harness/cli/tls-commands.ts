import type { Command } from 'commander';
import { percentOf, tlsRotate, tlsSet, tlsStatus } from '../commands/tls.ts';
import type { Runner } from './lane-commands.ts';

/** Adds `causeway tls …`. */
export function addTlsCommands(program: Command, run: Runner): void {
  const tls = program.command('tls').description('switch calls between plaintext and TLS while they run');
  const noApply = ['--no-apply', 'edit the file only'] as const;
  for (const mode of ['on', 'off'] as const) {
    tls
      .command(`${mode} <service>`)
      .description(mode === 'on' ? 'all calls to a service by TLS, none in plaintext' : 'all calls in plaintext')
      .option(...noApply)
      .action((service: string, _options, command: Command) =>
        run(command, (options, output) => tlsSet(service, mode, undefined, options, output)),
      );
  }
  tls
    .command('canary <percent> <service>')
    .description('a share of the traces by TLS, such as 10%')
    .option(...noApply)
    .action((percent: string, service: string, _options, command: Command) =>
      run(command, async (options, output) => tlsSet(service, 'canary', percentOf(percent), options, output)),
    );
  tls
    .command('rotate [services...]')
    .description('new certificates and keys, for these services and gateways or for all')
    .action((services: string[], _options, command: Command) =>
      run(command, (options, output) => tlsRotate(services, options, output)),
    );
  tls
    .command('status')
    .description('what is wanted, and what the proxies say is so')
    .action((_options, command: Command) => run(command, tlsStatus));
}
