import { GodwitError } from '@godwit/domain/errors';
import { type GuestTime, notAsked } from '@godwit/domain/guest-time';
import { hostTools } from '../../doctor/host-tools.ts';
import { clockIsSynchronised } from '../../host-clock.ts';
import { setGuestTime } from '../../qemu/guest-agent.ts';
import { demandOurs } from '../demand-ours.ts';
import type { Authority } from '../host-driver.ts';
import type { QemuHost } from './qemu-host.ts';
import { requireProcess } from './require-process.ts';

/**
 * The guest's clock by this host's, through the agent inside the guest. Throws, nothing asked: custody's refusals when another copy is meant or it is on its way, ServerNotFound when it has no QEMU
 * here, InvalidState when its machine has no channel for an agent. What the agent does or fails to do is in the answer. By a clock that the kernel
 * says nobody sets no guest's is set.
 */
export async function syncGuestTime(host: QemuHost, authority: Authority): Promise<GuestTime> {
  const doubt = (await clockIsSynchronised(hostTools.run)) === false ? "no time service sets the host's own clock" : null;
  demandOurs(host, authority, 'reads');
  const { spec, run } = requireProcess(host, authority.serverId);
  if (spec.guestAgent !== true)
    throw new GodwitError('InvalidState', `the machine of server ${spec.serverId} has no channel for a guest agent`);
  if (host.guests.fact(authority.serverId)?.kind !== 'running') return notAsked('the guest does not run');
  return setGuestTime(run.agentSocket, () => host.clock.nowMs(), { doubt });
}
