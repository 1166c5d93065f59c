import type { QmpClient } from '../qemu/qmp-client.ts';
import { QmpClosed, QmpTimeout } from '../qemu/qmp-errors.ts';
import { delay } from './deadline.ts';
import { type MigrateLook, queryMigrate } from './query-migrate.ts';

const everyMs = 40;
/** A main loop that does not answer a query for this long hangs. */
export const hangMs = 2_000;
/** While QEMU connects, its main loop waits for the destination's handshake, and the guest with it. On a busy host that takes 100 ms. */
const handshakeMs = 1_000;

/**
 * Looks at QEMU's migration again and again, and hands each look to `seen`; `hung` is told when the main loop does not answer. Returns when `over` says so, or when the
 * monitor has closed: the death of the process is reported by itself.
 */
export async function lookOn(
  qmp: QmpClient,
  on: { over(): boolean; seen(look: MigrateLook): Promise<void>; hung(why: string): Promise<void> },
): Promise<void> {
  let silent = 0;
  let connected = false;
  while (!on.over()) {
    await delay(everyMs);
    if (on.over()) return;
    try {
      const look = await queryMigrate(qmp, connected ? hangMs : handshakeMs);
      silent = 0;
      if (look.status !== 'none' && look.status !== 'setup') connected = true;
      await on.seen(look);
    } catch (error) {
      if (error instanceof QmpClosed) return;
      // What was made of the look failed: the next one tries again.
      if (!(error instanceof QmpTimeout)) continue;
      silent += 1;
      if (!connected) await on.hung('the destination does not answer the handshake');
      else if (silent >= 2) await on.hung("QEMU's main loop does not answer");
    }
  }
}
