import { type ChildProcess, spawn } from 'node:child_process';

/**
 * Waits until its standard input closes, then ends every process of a pid folder that still is what its file says. Plain
 * shell: it must be there when we are not, and cost nothing until then. `$0` is the folder.
 */
const SCRIPT = `
trap '' INT TERM HUP
cat > /dev/null
for file in "$0"/*; do
  { read -r pid && read -r mark; } < "$file" || continue
  tr '\\0' ' ' < "/proc/$pid/cmdline" 2> /dev/null | grep -qF -- "$mark" || continue
  kill -CONT "$pid"
  kill -TERM "$pid"
  rm -f "$file"
done
`;

/**
 * Ends a driver's processes when the driver itself is killed. Applications notice by themselves; an Envoy without hot
 * restart would live on. Its pipe from us closes with us, whatever we die of.
 */
export class Guard {
  private readonly child: ChildProcess;

  constructor(pidFolder: string) {
    this.child = spawn('sh', ['-c', SCRIPT, pidFolder], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
    this.child.stdin?.on('error', () => {});
    this.child.unref();
    // The pipe alone must not keep this process alive.
    (this.child.stdin as unknown as { unref?(): void } | null)?.unref?.();
  }

  get pid(): number | undefined {
    return this.child.pid;
  }

  /** Lets the guard go: it ends what is still in the folder, which after an orderly end is nothing. */
  async release(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.child.once('exit', resolve));
    // Now somebody waits for it.
    this.child.ref();
    this.child.stdin?.end();
    await gone;
  }
}
