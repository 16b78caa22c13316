import { proxy_log } from './imports';
import { LogLevel } from './types';

/** Replaces AssemblyScript's `abort`: says where at critical level, then traps. The host recovers by its failure policy. */
export function abort(message: string | null, fileName: string | null, line: u32, column: u32): void {
  const said =
    'abort: ' +
    (message ? message : 'no message') +
    ' at ' +
    (fileName ? fileName : '?') +
    ':' +
    line.toString() +
    ':' +
    column.toString();
  const bytes = String.UTF8.encode(said);
  proxy_log(LogLevel.Critical, changetype<usize>(bytes), bytes.byteLength);
  unreachable();
}
