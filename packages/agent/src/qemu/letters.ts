import { GodwitError } from '@godwit/domain/errors';
import { readLetters } from './boot-sector.ts';
import { readConsole } from './console-log.ts';
import type { GuestProcess } from './guest-process.ts';

const pollMs = 3;
/** More than any probe writes. */
const maxBytes = 1024 * 1024;

/** All letters that a counting guest (boot-sector.ts) has sent in this process. */
export const lettersOf = async (guest: Pick<GuestProcess, 'run'>): Promise<string> =>
  (await readConsole(guest.run.consoleDir, maxBytes, 0)).toString('latin1');

/**
 * Waits until a counting guest has sent at least `count` letters and returns them all. Throws GodwitError GuestStartFailed with what was seen instead:
 * nothing, letters out of order (its memory is not whole), or the end of its process.
 */
export async function awaitLetters(guest: Pick<GuestProcess, 'run' | 'ended'>, count: number, deadlineMs: number): Promise<string> {
  const until = performance.now() + deadlineMs;
  let end: string | undefined;
  void guest.ended.then((how) => {
    end =
      how.kind === 'exited'
        ? `QEMU exited with code ${how.code}`
        : how.kind === 'signalled'
          ? `QEMU was ended by ${how.signal}`
          : 'QEMU died';
  });
  for (;;) {
    const letters = await lettersOf(guest);
    const state = readLetters(letters);
    if (state.kind === 'broken')
      throw new GodwitError(
        'GuestStartFailed',
        `the guest's memory is not whole: after ${state.at} letters it said ${JSON.stringify(letters.slice(Math.max(0, state.at - 2), state.at + 2))}`,
      );
    if (letters.length >= count) return letters;
    if (end !== undefined) throw new GodwitError('GuestStartFailed', `${end} while the guest was to run`);
    if (performance.now() > until)
      throw new GodwitError(
        'GuestStartFailed',
        `the guest gave ${letters.length === 0 ? 'no sign of life' : `only ${letters.length} of ${count} signs of life`} within ${deadlineMs} ms`,
      );
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}
