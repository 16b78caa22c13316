import { type Command, InvalidArgumentError } from 'commander';
import {
  editAndApply,
  environmentOf,
  type LaneOptions,
  laneList,
  type MatchOptions,
  matcherOf,
} from '../commands/lane.ts';
import * as edits from '../config/edit.ts';
import type { Output } from './output.ts';

/** Runs a command's body with its options and output, and turns errors into exit statuses. */
export type Runner = <T extends object>(
  command: Command,
  body: (options: T & LaneOptions, output: Output) => Promise<void>,
) => Promise<void>;

/** Adds `causeway lane …`. */
export function addLaneCommands(program: Command, run: Runner): void {
  const lane = program.command('lane').description('create, change and delete lanes: edits the file, then applies it');
  const sub = (name: string, description: string) =>
    lane.command(name).description(description).option('--no-apply', 'edit the file only');

  sub('create <lane>', 'add a lane')
    .option('--mode <mode>', 'strict or permissive', oneOf('strict', 'permissive'))
    .option('--chain <lanes>', 'lanes to fall back to, comma separated', (text) => text.split(','))
    .action((name: string, _options, command: Command) =>
      run<edits.LaneEntry>(command, (options, output) =>
        editAndApply(options, output, (text) =>
          edits.createLane(text, name, defined({ mode: options.mode, chain: options.chain })),
        ),
      ),
    );

  sub('delete <lane>', 'remove a lane with its instances and rules').action(
    (name: string, _options, command: Command) =>
      run(command, (options, output) => editAndApply(options, output, (text) => edits.deleteLane(text, name))),
  );

  lane
    .command('list')
    .description('lanes with their services and rules')
    .action((_options, command: Command) => run(command, laneList));

  sub('add-service <lane> <service>', 'run a service in a lane')
    .option('--version <version>', 'version label')
    .option('--replicas <n>', 'instances', wholeNumber)
    .option('--env <NAME=value...>', 'environment of the application')
    .action((name: string, service: string, _options, command: Command) =>
      run<{ version?: string; replicas?: number; env?: string[] }>(command, (options, output) => {
        const env = options.env && environmentOf(options.env);
        const entry = defined({ version: options.version, replicas: options.replicas, env });
        return editAndApply(options, output, (text) => edits.addService(text, name, service, entry));
      }),
    );

  sub('remove-service <lane> <service>', 'stop running a service in a lane').action(
    (name: string, service: string, _options, command: Command) =>
      run(command, (options, output) =>
        editAndApply(options, output, (text) => edits.removeService(text, name, service)),
      ),
  );

  addRuleCommand(sub('rule <lane>', 'divert matching requests into a lane'), run);
}

interface RuleOptions extends MatchOptions {
  readonly name?: string;
  readonly entrance?: string;
  readonly at?: string;
  readonly remove?: string;
}

function addRuleCommand(command: Command, run: Runner): void {
  command
    .option('--name <name>', 'name of the rule; default <lane>-rule')
    .option('--entrance <service>', 'service at which the lane is entered')
    .option('--at <place>', 'gateway or sidecar', oneOf('gateway', 'sidecar'))
    .option('--header <name=value>', 'request header')
    .option('--cookie <name=value>', 'cookie')
    .option('--query <name=value>', 'query parameter')
    .option('--path <prefix>', 'path prefix')
    .option('--method <method>', 'request method')
    .option('--percent <n>', 'share of the traces', Number)
    .option('--match <json>', 'any matcher')
    .option('--remove <name>', 'remove the rule of this name instead')
    .action((lane: string, _options, self: Command) =>
      run<RuleOptions>(self, (options, output) => {
        const { remove } = options;
        if (remove !== undefined) return editAndApply(options, output, (text) => edits.removeRule(text, remove));
        const rule = {
          name: options.name ?? `${lane.toLowerCase()}-rule`,
          ...defined({ at: options.at, entrance: options.entrance }),
          match: matcherOf(options),
          lane,
        };
        return editAndApply(options, output, (text) => edits.addRule(text, rule));
      }),
    );
}

/** Without the keys that were not given. */
function defined<T extends object>(given: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as never;
}

export function oneOf(...words: readonly string[]) {
  return (text: string): string => {
    if (words.includes(text)) return text;
    throw new InvalidArgumentError(`expected one of ${words.join(', ')}`);
  };
}

export function wholeNumber(text: string): number {
  if (/^[1-9][0-9]{0,6}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('expected a whole number above 0');
}

export function portNumber(text: string): number {
  if (/^[0-9]{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  throw new InvalidArgumentError('expected a port, 0 to 65535');
}
