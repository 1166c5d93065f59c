import { readdir } from 'node:fs/promises';
import { as, type ServerId } from '@godwit/domain/ids';
import { within } from '../../migration/deadline.ts';
import { guestsDir } from '../../qemu/run-dir.ts';
import type { QemuHost } from './qemu-host.ts';
import { readMemory, removeMemory } from './saved-memory.ts';
import { letGoOn } from './suspend-guest.ts';

/** A cancel takes QEMU some milliseconds. */
const letGoOnMs = 3_000;

/** At the agent's start, once custody has looked: a guest whose memory was being saved when the last agent died goes on, and files of memories that are no copy go. */
export async function clearMemories(host: QemuHost): Promise<void> {
  const { custody, config, log } = host;
  const names = await readdir(guestsDir(config.stateDir)).catch(() => []);
  for (const name of names) {
    const serverId = as<ServerId>(name);
    const { copy } = custody.state(serverId);
    const failed = (error: unknown): void => log.warn({ err: error, serverId }, 'a memory that is none could not be cleared away yet');
    const saved = await readMemory(config.stateDir, serverId).catch((error: unknown) => {
      log.warn({ err: error, serverId }, "the record of a guest's saved memory is not readable");
      return null;
    });
    if (saved === null) continue;
    const counts = copy.kind === 'suspended' ? copy.grant.epoch : copy.kind === 'granted' ? copy.memory?.epoch : undefined;
    if (counts === saved.epoch) continue;
    // Not waited for without end: a QEMU that does not answer must not keep the others from being served.
    if (copy.kind === 'held' && copy.alive)
      await within(host.exclusive(serverId, () => letGoOn(host, serverId, copy.grant.epoch)).catch(failed), letGoOnMs, undefined);
    else await removeMemory(host, serverId, saved.epoch).catch(failed);
  }
}
