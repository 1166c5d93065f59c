import { GodwitError } from '@godwit/domain/errors';
import { type GuestSpec, guestSpecProblems, takesPortsRunning } from '@godwit/domain/guest-spec';
import type { ServerId } from '@godwit/domain/ids';
import { faultPoint } from '../../fault-point.ts';
import { makeTaps } from '../../migration/destination-network.ts';
import { removeTaps } from '../../network/remove-taps.ts';
import { rewriteSpec } from '../../qemu/guest-process.ts';
import { occupiedSlots, type PlacedNic, placedNics, plugNic, unplugNic } from '../../qemu/nic-devices.ts';
import { demandOurs } from '../demand-ours.ts';
import type { GuestReport } from '../guest-report.ts';
import type { Authority } from '../host-driver.ts';
import type { WantedGuest } from '../wanted-guest.ts';
import { guestSpecOf } from './guest-spec-of.ts';
import type { QemuHost } from './qemu-host.ts';
import { requireProcess } from './require-process.ts';

/**
 * Gives a guest that runs here the network cards that it is wanted with, and takes the others from it; see the RPC. The spec names a card from before QEMU has it until after it has lost it, so that an
 * agent that adopts the guest in between keeps the tap and its rules; and a repeated call looks at QEMU, and not at the spec alone.
 */
export async function changeNics(host: QemuHost, authority: Authority, wanted: WantedGuest): Promise<GuestReport> {
  const { serverId } = authority;
  demandOurs(host, authority);
  const process = requireProcess(host, serverId);
  const target = placedNics(guestSpecOf(wanted, host.pools, host.defaults));
  const problems = guestSpecProblems({ ...process.spec, nics: target });
  if (problems.length > 0) throw new GodwitError('BadRequest', `the guest cannot have these ports: ${problems.join('; ')}`);
  const occupied = await occupiedSlots(process.qmp);
  const isIn = (nics: readonly PlacedNic[], { portId, slot }: PlacedNic): boolean =>
    nics.some((nic) => nic.portId === portId && nic.slot === slot);
  const own = placedNics(process.spec);
  const surplus = own.filter((nic) => !isIn(target, nic));
  const missing = target.filter((nic) => !isIn(own, nic) || !occupied.has(nic.slot));
  if ((surplus.length > 0 || missing.length > 0) && !takesPortsRunning(process.spec))
    throw new GodwitError('HotPlugUnsupported', 'this guest was made with a layout of devices that takes no port while it runs');
  for (const nic of surplus) await takeOut(host, serverId, nic);
  for (const nic of missing) await plugIn(host, serverId, nic, wanted);
  return host.guests.report(serverId);
}

async function plugIn(host: QemuHost, serverId: ServerId, nic: PlacedNic, wanted: WantedGuest): Promise<void> {
  const before = requireProcess(host, serverId).spec;
  const others = placedNics(before).filter(({ portId }) => portId !== nic.portId);
  try {
    // The rules first: from its first frame on the guest is held to them.
    await host.networks.admit([nic], wanted.networkPolicy ?? null);
    await makeTaps(host.tools, [nic], host.config.bridge, true);
    await host.dhcp?.serve([nic]);
    await note(host, serverId, { ...before, nics: [...others, nic].toSorted((a, b) => a.slot - b.slot) });
    await faultPoint('nics.noted');
    await plugNic(requireProcess(host, serverId), nic);
  } catch (error) {
    await note(host, serverId, { ...before, nics: others }).catch((refused: unknown) =>
      host.log.warn({ err: refused, serverId }, 'a network card that could not be plugged is still noted'),
    );
    await removeTaps(host, [nic]);
    throw error;
  }
}

async function takeOut(host: QemuHost, serverId: ServerId, nic: PlacedNic): Promise<void> {
  const process = requireProcess(host, serverId);
  // Only a guest that runs can give anything up; one that was asked would do it when it goes on, and nobody would wait for it then.
  if (host.guests.fact(serverId)?.kind === 'paused' && (await occupiedSlots(process.qmp)).has(nic.slot))
    throw new GodwitError('InvalidState', 'the guest is paused and cannot give up its network card');
  await unplugNic(process, nic.slot);
  await faultPoint('nics.unplugged');
  await removeTaps(host, [nic]);
  await note(host, serverId, { ...process.spec, nics: placedNics(process.spec).filter(({ portId }) => portId !== nic.portId) });
}

async function note(host: QemuHost, serverId: ServerId, spec: GuestSpec): Promise<void> {
  await rewriteSpec(requireProcess(host, serverId), spec);
  host.guests.changed(serverId, spec);
}
