/** Words for what a test plugin saw, so that both hosts can be compared by their logs. Builds strings: tests only. */
import { logInfo, present, Slice, Status, text } from 'proxy-wasm-assemblyscript-sdk';

export function show(value: Slice): string {
  return present(value) ? '"' + text(value) + '"' : 'none';
}

/** Logs `what: status number`. */
export function say(what: string, status: Status): void {
  logInfo(what + ': ' + (status as i32).toString());
}
