import type { Clock } from './clock.ts';
import type { Faults } from './faults.ts';
import type { ForeignFunctions } from './foreign.ts';
import type { MetricStore } from './metrics.ts';
import type { Recorder } from './recorder.ts';
import type { SharedData } from './shared-data.ts';
import type { SharedQueues } from './shared-queue.ts';
import type { LogLevel } from './status.ts';

export interface LogLine {
  readonly level: LogLevel;
  /** UTF-8 decoded. */
  readonly message: string;
  /** Label of the VM. */
  readonly vm: string;
}

/** What all VMs of one emulated Envoy process have in common. */
export interface Environment {
  /** Misuse ends the test (`Refusal`); otherwise the guest gets the status that Envoy gives. */
  readonly strict: boolean;
  readonly clock: Clock;
  readonly sharedData: SharedData;
  readonly queues: SharedQueues;
  readonly metrics: MetricStore;
  readonly calls: Recorder;
  readonly faults: Faults;
  readonly foreign: ForeignFunctions;
  readonly logs: LogLine[];
  /** Clusters that `proxy_http_call` knows; undefined = any name. */
  readonly clusters: ReadonlySet<string> | undefined;
  logLevel: LogLevel;
  /** Called after every tick, with the VM's label: for a model that keeps the module's time. */
  ticked: ((vm: string) => void) | undefined;

  /** `size` bytes from a seeded generator: the same ones in every run. */
  random(size: number): string;
  /** Runs `action` when no guest code is running: at once, or after the current top-level callback. */
  post(action: () => void): void;
  /** Marks the begin of guest code; the result marks its end. */
  enter(): () => void;
}
