import { proxy_get_log_level, proxy_log } from './abi/imports';
import { OUT } from './abi/out';
import { LogLevel, Status } from './abi/types';
import { lenOf, ptrOf, Slice } from './slice';

/** Asked at configure time and on ticks; in between a changed level is not noticed, and no request pays for asking. */
let level: i32 = LogLevel.Info;

export function refreshLogLevel(): void {
  if (proxy_get_log_level(OUT) === Status.Ok) level = load<i32>(OUT);
}

/** Whether a message of this level would be written; ask before building one. */
export function logs(wanted: LogLevel): bool {
  return (wanted as i32) >= level;
}

export function log(wanted: LogLevel, message: string): void {
  if (!logs(wanted)) return;
  const bytes = String.UTF8.encode(message);
  proxy_log(wanted, changetype<usize>(bytes), bytes.byteLength);
}

/** Logs bytes as they are, without building a string. */
export function logBytes(wanted: LogLevel, message: Slice): void {
  if (logs(wanted)) proxy_log(wanted, ptrOf(message), lenOf(message));
}

export function logDebug(message: string): void {
  log(LogLevel.Debug, message);
}

export function logInfo(message: string): void {
  log(LogLevel.Info, message);
}

export function logWarn(message: string): void {
  log(LogLevel.Warn, message);
}

export function logError(message: string): void {
  log(LogLevel.Error, message);
}

export function logCritical(message: string): void {
  log(LogLevel.Critical, message);
}
