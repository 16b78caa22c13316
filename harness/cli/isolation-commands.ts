import type { Command } from 'commander';
import { type IsolateOptions, isolate, isolationStatus, release } from '../commands/isolate.ts';
import type { ViaOptions } from '../commands/isolate-centre.ts';
import { restart } from '../commands/restart.ts';
import { oneOf, type Runner } from './lane-commands.ts';

const VIA = [
  '--via <way>',
  'file (edit and apply it) or centre (an order of the healing centre)',
  oneOf('file', 'centre'),
  'file',
] as const;
const TOKEN = [
  '--token <file>',
  'with the operator’s token for --via centre; default: the one that `up` has made',
] as const;

/** Adds the commands by which instances leave traffic and come back. */
export function addIsolationCommands(program: Command, run: Runner): void {
  program
    .command('isolate <instance>')
    .description('take all traffic, or what matches, off one instance; it goes on running')
    .option('--header <name=value>', 'only requests with this header')
    .option('--path <prefix>', 'only paths with this prefix')
    .option('--method <method>', 'only this method')
    .option('--percent <n>', 'only a share of the traces', Number)
    .option('--match <json>', 'only what this matcher matches')
    .option('--force', 'also the last instance that could answer')
    .option('--no-apply', 'edit the file only')
    .option(...VIA)
    .option(...TOKEN)
    .action((instance: string, _options, command: Command) =>
      run<IsolateOptions>(command, (options, output) => isolate(instance, options, output)),
    );
  program
    .command('release <instance>')
    .description('let an isolated instance back in')
    .option('--no-apply', 'edit the file only')
    .option(...VIA)
    .option(...TOKEN)
    .action((instance: string, _options, command: Command) =>
      run<ViaOptions>(command, (options, output) => release(instance, options, output)),
    );
  program
    .command('restart [names...]')
    .description('restart instances (or all of a service, or all) one after the other without failing a request')
    .action((names: string[], _options, command: Command) =>
      run(command, (options, output) => restart(names, options, output)),
    );
  program
    .command('isolation')
    .description('which instances are isolated, and what they have kept out')
    .option(...VIA)
    .option(...TOKEN)
    .action((_options, command: Command) => run(command, isolationStatus));
}
