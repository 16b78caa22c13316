import type { DriveAnswer, Verdict } from '../../drive/drive.ts';
import { failedCalls } from '../evidence.ts';
import { hopOf } from '../stage.ts';

/** Right when the whole call tree is: the answer is 200, and so is every call below it. */
export function wholeTree(answer: DriveAnswer): Verdict {
  if (answer.status === 0) return `no answer: ${answer.error}`;
  const hop = hopOf(answer.body);
  if (!hop) return `status ${answer.status}, not from an application`;
  const [failed] = failedCalls(hop);
  if (failed) return failed;
  return answer.status === 200 ? null : `status ${answer.status}`;
}
