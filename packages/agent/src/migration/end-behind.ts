import type { GuestProcess } from '../qemu/guest-process.ts';
import { deathOf } from '../qemu/guest-watch.ts';
import { QmpClosed } from '../qemu/qmp-client.ts';
import { within } from './deadline.ts';

/** From a hung-up monitor to the end of its process. */
const dyingMs = 1_000;

/** The end of the process, in words, that stands behind a monitor which hung up; null when the error is another one, or the process lives on. */
export async function endBehind(error: unknown, process: Pick<GuestProcess, 'ended'>): Promise<string | null> {
  if (!(error instanceof QmpClosed)) return null;
  const end = await within(process.ended, dyingMs, null);
  if (end === null) return null;
  const death = deathOf(end);
  return death.kind === 'died' ? death.cause : end.kind;
}
