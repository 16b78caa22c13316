/**
 * Failed tries that a retry makes good. A filter sees the last try of a request alone; the router's `upstream_log` shows each
 * one, to an access logger, which is a root context of its own. Where it lives in the filter's VM (same `vm_id`, code and
 * `vm_config.configuration`) it counts into the same rows. Where it does not, as while a module is being replaced, `seesTries` is
 * false and the filter judges the last try as well: no failure counts twice.
 */
import { present, RootContext, Slice } from 'proxy-wasm-assemblyscript-sdk';
import { upstreamAddress } from '../answer';
import { authority } from '../exchange';
import { UNKNOWN } from '../lane-fallback/name-table';
import { countRequest, Outcome } from './row';
import { tryOutcome, UNJUDGED } from './sight';
import { Watch } from './watch';

/** Of the configuration that serves: the one whose streams began last. */
let watching: Watch | null = null;
/** Access loggers in this VM. More than one while a router is replaced. */
let loggers: i32 = 0;

export function watchTries(watch: Watch): void {
  watching = watch;
}

export function forgetTries(watch: Watch): void {
  if (watching === watch) watching = null;
}

/** Whether failed tries are told. */
export function seesTries(): bool {
  return loggers > 0;
}

@final
export class TriesPlugin extends RootContext {
  private counted: bool = false;

  /** Has no settings: which hosts of whom are judged is the filter's business. */
  onConfigure(configuration: Slice): bool {
    if (!this.counted) loggers++;
    this.counted = true;
    return true;
  }

  onLog(): void {
    const watch = watching;
    if (watch === null) return;
    const service = watch.config.authorities.find(authority());
    if (service === UNKNOWN) return;
    const address = upstreamAddress();
    if (!present(address) || tryOutcome() === UNJUDGED) return;
    const row = watch.rowOf(service, address);
    if (row !== 0) countRequest(row, Outcome.Error, 0);
  }

  onDelete(): void {
    if (this.counted) loggers--;
    this.counted = false;
  }
}
