import type { ServerId } from '@godwit/domain/ids';
import { faultPoint } from '../../fault-point.ts';
import { rewriteSpec } from '../../qemu/guest-process.ts';
import { growthRefusal, plugVcpu, presentVcpus } from '../../qemu/vcpu-devices.ts';
import { demandOurs } from '../demand-ours.ts';
import type { GuestReport } from '../guest-report.ts';
import type { Authority } from '../host-driver.ts';
import type { WantedGuest } from '../wanted-guest.ts';
import type { QemuHost } from './qemu-host.ts';
import { requireProcess } from './require-process.ts';

/**
 * Gives a guest that runs here the vCPUs that it is wanted with; see the RPC. What it has is asked of its QEMU, before, after each, and when this fails: an order that was given up may have been carried out all the same, and an
 * agent may have died before it noted one. Where QEMU does not say, the guest is reported with no number until it does.
 */
export async function scaleGuest(
  host: QemuHost,
  authority: Authority,
  { vcpus: wanted }: Pick<WantedGuest, 'vcpus'>,
): Promise<GuestReport> {
  const { serverId } = authority;
  demandOurs(host, authority);
  let vcpus = await noteVcpus(host, serverId);
  const refusal = growthRefusal({ ...requireProcess(host, serverId).spec, vcpus }, wanted);
  if (refusal !== null) throw refusal;
  try {
    while (vcpus < wanted) {
      await plugVcpu(requireProcess(host, serverId).qmp);
      await faultPoint('scale.plugged');
      vcpus = await noteVcpus(host, serverId);
    }
  } catch (error) {
    await noteVcpus(host, serverId).catch((unsaid: unknown) => {
      host.guests.knowsVcpus(serverId, false);
      host.log.warn({ err: unsaid, serverId }, 'it is not known how many vCPUs a guest has');
    });
    throw error;
  }
  host.guests.tell(serverId);
  return host.guests.report(serverId);
}

/** How many vCPUs the guest has, as its QEMU says; its spec says so too when this returns. */
async function noteVcpus(host: QemuHost, serverId: ServerId): Promise<number> {
  const process = requireProcess(host, serverId);
  const vcpus = await presentVcpus(process.qmp);
  const spec = { ...process.spec, vcpus };
  // Before the file: that one cannot be written does not make this untrue.
  host.guests.changed(serverId, spec);
  host.guests.knowsVcpus(serverId, true);
  if (vcpus !== process.spec.vcpus) await rewriteSpec(process, spec);
  return vcpus;
}
