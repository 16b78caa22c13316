import { Writable } from 'node:stream';
import { Rejected } from '../../harness/apply/push.ts';
import { CommandError, EXIT } from '../../harness/cli/exit-codes.ts';
import { Output } from '../../harness/cli/output.ts';
import { ConfigError } from '../../harness/config/errors.ts';

export interface Ended {
  code: number;
  out: string;
  err: string;
}

/** The body of a command in this process: what it says, and the exit status that its error would have. */
export async function commanded(body: (output: Output) => Promise<void>): Promise<Ended> {
  const texts = { out: '', err: '' };
  const into = (key: 'out' | 'err') =>
    new Writable({
      write(chunk, _encoding, done) {
        texts[key] += String(chunk);
        done();
      },
    });
  const output = new Output(false, { out: into('out'), err: into('err') });
  try {
    await body(output);
    return { code: EXIT.ok, ...texts };
  } catch (error) {
    return { code: codeOf(error), out: texts.out, err: `${texts.err}${(error as Error).message}` };
  }
}

function codeOf(error: unknown): number {
  if (error instanceof CommandError) return error.code;
  if (error instanceof ConfigError) return EXIT.invalid;
  return error instanceof Rejected ? EXIT.rejected : EXIT.failed;
}
