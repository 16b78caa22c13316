import { Command, CommanderError } from 'commander';
import { Rejected } from '../apply/push.ts';
import { apply } from '../commands/apply.ts';
import { centre } from '../commands/centre.ts';
import { doctor } from '../commands/doctor.ts';
import { down } from '../commands/down.ts';
import { drive } from '../commands/drive.ts';
import { importCommand } from '../commands/import.ts';
import { render } from '../commands/render.ts';
import { renderIstioCommand } from '../commands/render-istio.ts';
import { renderObservabilityCommand } from '../commands/render-observability.ts';
import { renderRateLimitCommand } from '../commands/render-ratelimit.ts';
import { status } from '../commands/status.ts';
import { topology } from '../commands/topology.ts';
import { up } from '../commands/up.ts';
import { validate } from '../commands/validate.ts';
import { ConfigError } from '../config/errors.ts';
import { demo } from '../demo/command.ts';
import { demoHeal } from '../demo/heal/command.ts';
import { demoIsolation } from '../demo/isolation/command.ts';
import { demoOverload } from '../demo/overload/command.ts';
import { demoTls } from '../demo/tls/command.ts';
import { runSupervisor } from './drivers.ts';
import { CommandError, EXIT } from './exit-codes.ts';
import { addIsolationCommands } from './isolation-commands.ts';
import { addLaneCommands, oneOf, portNumber, type Runner, wholeNumber } from './lane-commands.ts';
import type { GlobalOptions } from './options.ts';
import { Output } from './output.ts';
import { addTlsCommands } from './tls-commands.ts';

const HELP = `
Exit status: 0 done, 1 failed, 2 the command line or the configuration is not valid, 3 an Envoy refused the new
configuration and everything has been brought back, 4 no such mesh runs (or it runs already), 130 ended by Ctrl-C.`;

/** Gives a body its options and output; an error becomes a message and an exit status. */
const run: Runner = async (command, body) => {
  const options = command.optsWithGlobals() as Parameters<typeof body>[0];
  const output = new Output((options as GlobalOptions).json ?? false);
  try {
    await body(options, output);
  } catch (error) {
    report(error, output);
  }
};

function report(error: unknown, output: Output): void {
  if (error instanceof ConfigError) {
    output.failure(error.message, { problems: error.problems });
    process.exitCode = EXIT.invalid;
  } else if (error instanceof CommandError) {
    output.failure(error.message);
    process.exitCode = error.code;
  } else if (error instanceof Rejected) {
    output.failure(`${error.message}\neverything has been brought back`, {
      node: error.node,
      file: error.file,
      reason: error.reason,
    });
    process.exitCode = EXIT.rejected;
  } else {
    output.failure(error instanceof Error ? error.message : String(error));
    process.exitCode = EXIT.failed;
  }
}

export function createProgram(): Command {
  const program = new Command('causeway')
    .description('Traffic lanes, overload protection, self-healing and TLS switchover on stock Envoy and Istio')
    .version(process.env.CAUSEWAY_VERSION ?? 'development', '-V, --cli-version')
    .option('-f, --file <path>', 'configuration', 'causeway.yaml')
    .option('--state <folder>', 'where running meshes are kept', '.causeway')
    .option('--mesh <name>', 'mesh that is meant; default: the one of the file')
    .option('--network <a.b>', 'first two octets of all addresses, instead of the file’s')
    .option('--wasm <path>', 'causeway.wasm, instead of the one beside this program')
    .option('--json', 'one JSON object on standard output')
    .addHelpText('after', HELP)
    .exitOverride();
  const driver = [
    '--driver <name>',
    'process (local processes) or compose (containers)',
    oneOf('process', 'compose'),
    'process',
  ] as const;

  program
    .command('up')
    .description('start the mesh')
    .option(...driver)
    .option('--foreground', 'stay, and end the mesh on Ctrl-C')
    .action((_options, command: Command) => run(command, up));
  program
    .command('down')
    .description('end the mesh')
    .action((_options, command: Command) => run(command, down));
  program
    .command('status')
    .description('what runs')
    .action((_options, command: Command) => run(command, status));
  program
    .command('apply')
    .description('bring the running mesh to what the file says, or leave all as it is')
    .option('--dry-run', 'show the difference only')
    .option('--full', 'show the difference of the rendered files, too')
    .option('--uninstall', 'take the suite out of the running mesh instead: a plain mesh is left, all of it baseline')
    .action((_options, command: Command) => run(command, apply));
  program
    .command('topology')
    .description('a page with the calls between services by lane, live; or once, with --text, --svg or --json')
    .option('--text', 'tables instead of the page')
    .option('--svg [file]', 'a drawing instead of the page, to a file or to standard output')
    .option('--seconds <n>', 'how long to look before telling once', wholeNumber, 6)
    .option('--address <ip>', 'where the page is served', '127.0.0.1')
    .option('--port <n>', 'port of the page; 0 = any', portNumber, 7080)
    .action((_options, command: Command) => run(command, topology));
  const renderCommand = program
    .command('render')
    .description('write the Envoy configurations (and the compose file) into a folder')
    .option(...driver)
    .option('-o, --out <folder>', 'where to', 'rendered')
    .option('--uninstall', 'write what takes the suite out again, step by step, instead')
    .action((_options, command: Command) => run(command, render));
  renderCommand
    .command('istio')
    .description("write Istio's resources into a folder")
    .option('-o, --out <folder>', 'where to', 'rendered')
    .option('--module <url>', 'oci://registry/repository:tag or file:///path, instead of the file’s')
    .option(
      '--api <kind>',
      'what carries the filters: envoyfilter, trafficextension (Istio 1.30 and later) or wasmplugin (before)',
      oneOf('envoyfilter', 'trafficextension', 'wasmplugin'),
      'envoyfilter',
    )
    .option('--uninstall', 'say instead what to delete, in order')
    .action((_options, command: Command) => run(command, renderIstioCommand));
  renderCommand
    .command('observability')
    .description("write Prometheus' configuration and alert rules and a Grafana dashboard into a folder")
    .option('-o, --out <folder>', 'where to', 'rendered')
    .action((_options, command: Command) => run(command, renderObservabilityCommand));
  renderCommand
    .command('ratelimit')
    .description('write what the reference rate-limit service reads: the limits that all instances of a service share')
    .option('-o, --out <folder>', 'where to: its RUNTIME_ROOT', 'rendered')
    .action((_options, command: Command) => run(command, renderRateLimitCommand));
  program
    .command('import <files...>')
    .description(
      "make a causeway.yaml of lanes in Alibaba ASM's form: TrafficLabel, VirtualService with fallback, DestinationRule",
    )
    .option('-o, --out <file>', 'where to, instead of standard output')
    .option('--name <mesh>', "the mesh's name", 'imported')
    .action((files: string[], _options, command: Command) => run(command, importCommand(files)));
  program
    .command('validate')
    .description('check the file, and by Envoy what is rendered from it')
    .option('--no-envoy', 'check the file only')
    .action((_options, command: Command) => run(command, validate));
  program
    .command('doctor [folder]')
    .description('find known mistakes in configurations (of Envoy, of Istio, causeway.yaml) or in a running Envoy')
    .option('--live <url>', 'admin interface of a running Envoy: http://address:port or unix:/path')
    .action((folder: string | undefined, _options, command: Command) => run(command, doctor(folder)));
  program
    .command('drive')
    .description('send traffic and say who served it')
    .option('--rate <n>', 'requests a second', wholeNumber, 50)
    .option('--duration <seconds>', 'how long', wholeNumber, 10)
    .option('--path <path>', 'request path', '/api/v1/products/0')
    .option('--header <name: value...>', 'request headers', [])
    .option('--post <percent>', 'share of POST requests', wholeNumber)
    .option('--target <url>', 'instead of the first gateway')
    .action((_options, command: Command) => run(command, drive));
  const story = program
    .command('demo')
    .description('tell the lane story on real Envoys and check every scene; `demo overload` shows overload protection')
    .option(...driver)
    .option('--scale <n>', 'divides the number of requests of the heavy scenes; 1 = full size', wholeNumber, 20)
    .option('--scenes <numbers>', 'only these scenes, comma separated')
    .option('-o, --out <folder>', 'where demo.json and demo.html go', 'build')
    .action((_options, command: Command) => run(command, demo));
  const watched = (name: string, what: string, action: typeof demoTls): Command =>
    story
      .command(name)
      .description(what)
      .option('-o, --out <folder>', `where demo-${name}.json goes`, 'build')
      .action((_options, command: Command) => run(command, action));
  watched(
    'overload',
    'the same crowd before the same application, with and without protection; takes less than a minute',
    demoOverload,
  );
  watched('tls', 'calls to one service change between plaintext and TLS under load; takes less than a minute', demoTls);
  watched(
    'heal',
    'a host goes bad: who notices, beside native outlier detection, and who is told; takes half a minute',
    demoHeal,
  );
  watched(
    'isolate',
    'an instance leaves its traffic and comes back under load; takes about a minute',
    demoIsolation,
  ).alias('release');
  program
    .command('centre')
    .description('run the healing centre: agents report, it confirms what several of them see')
    .option('--address <ip>', 'where to listen; beyond loopback only with TLS', '127.0.0.1')
    .option('--port <n>', 'port; 0 = any', portNumber, 7070)
    .option('--credentials <file>', 'who may speak', 'centre-credentials.json')
    .option('--deployment <folder>', 'state folder of the mesh that runs: its instances are the ones that count')
    .option('--probe-secrets <folder>', 'certificate to probe instances by TLS; default: the one in --deployment')
    .option('--tls-cert <file>', 'certificate of the centre')
    .option('--tls-key <file>', 'its key')
    .option('--tls-ca <file>', 'what signs the certificates of agents and operators')
    .option('--recover-command <path>', 'program that brings an instance back: <service> <instance> <ip:port>')
    .option('--recover-webhook <url>', 'is told instead, by POST')
    .option('--recover', 'really do it; otherwise only counted')
    .action((_options, command: Command) => run(command, centre));
  addLaneCommands(program, run);
  addTlsCommands(program, run);
  addIsolationCommands(program, run);
  program.command('supervise <folder>', { hidden: true }).action((folder: string) => runSupervisor(folder));
  return program;
}

try {
  await createProgram().parseAsync();
} catch (error) {
  // Commander has said what is wrong; help and version are no errors.
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.invalid;
}
