import { GodwitError } from '@godwit/domain/errors';
import type { ServerId } from '@godwit/domain/ids';
import { faultPoint } from '../../fault-point.ts';
import { delay } from '../../migration/deadline.ts';
import { rewriteSpec } from '../../qemu/guest-process.ts';
import {
  addedMemory,
  askForMemory,
  claimedMib,
  memoryRefusal,
  settleMemory,
  unmovedSentence,
  untilGiven,
} from '../../qemu/memory-device.ts';
import { demandOurs } from '../demand-ours.ts';
import type { GuestReport } from '../guest-report.ts';
import type { Authority } from '../host-driver.ts';
import type { QemuHost } from './qemu-host.ts';
import { requireProcess } from './require-process.ts';

const clock = { nowMs: () => performance.now(), delay };

/**
 * Gives a guest that runs here memory, or has it give some back; see the RPC. Harmless to repeat. While it goes on, and when it throws, the spec says the larger of what the guest has and what it was asked to have, which an agent
 * that dies in between reads back from QEMU (adoptGuest).
 */
export async function scaleMemory(host: QemuHost, authority: Authority, ramMib: number): Promise<GuestReport> {
  const { serverId } = authority;
  demandOurs(host, authority);
  const { spec, qmp } = requireProcess(host, serverId);
  const refusal = memoryRefusal(spec, ramMib);
  if (refusal !== null) throw refusal;
  if (spec.maxRamMib === undefined) return host.guests.report(serverId);
  const wanted = ramMib - spec.ramMib;
  const before = await addedMemory(qmp);
  if (before.askedMib !== wanted || before.hasMib !== wanted) {
    // Only a guest that runs can take or give; one that was asked would do it when it goes on, and nobody would wait for it then.
    if (host.guests.fact(serverId)?.kind === 'paused')
      throw new GodwitError('InvalidState', 'the guest is paused, and takes and gives back no memory');
    try {
      await note(host, serverId, Math.max(wanted, claimedMib(before)));
      await askForMemory(qmp, wanted);
      await faultPoint('memory.asked');
      const given = await untilGiven(qmp, wanted, clock);
      if (given.hasMib !== wanted) {
        const from = claimedMib(before);
        const moved = Math.abs(given.hasMib - before.hasMib);
        const { hasMib } = await settleMemory(qmp, from, wanted, clock);
        if (hasMib !== wanted) throw new GodwitError('InvalidState', unmovedSentence(spec.ramMib, from, wanted, moved, hasMib));
      }
    } catch (error) {
      await noteWhatItHas(host, serverId).catch((unsaid: unknown) =>
        host.log.warn({ err: unsaid, serverId }, 'it is not known how much memory a guest has; what it may have at most is kept for it'),
      );
      host.guests.tell(serverId);
      throw error;
    }
  }
  await noteWhatItHas(host, serverId);
  host.guests.tell(serverId);
  return host.guests.report(serverId);
}

const noteWhatItHas = async (host: QemuHost, serverId: ServerId): Promise<void> =>
  note(host, serverId, claimedMib(await addedMemory(requireProcess(host, serverId).qmp)));

async function note(host: QemuHost, serverId: ServerId, addedRamMib: number): Promise<void> {
  const process = requireProcess(host, serverId);
  if (process.spec.addedRamMib === addedRamMib) return;
  const spec = { ...process.spec, addedRamMib };
  // Before the file: that one cannot be written does not make this untrue.
  host.guests.changed(serverId, spec);
  await rewriteSpec(process, spec);
}
