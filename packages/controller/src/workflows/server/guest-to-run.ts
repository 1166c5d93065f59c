import type { Guest } from '@godwit/contract/gen/guest_pb';
import { GodwitError } from '@godwit/domain/errors';
import type { HostId } from '@godwit/domain/ids';
import type { Db } from '../../store/database.ts';

/**
 * The guest as it is sent to a host that is to run it, or to give it a card: the one gate for its VLANs. Throws NetworkSetupFailed when the host does not say that it keeps VLANs apart: it would leave the
 * ports among all the others. What the host last said may be older than its agent, so the ports' ids go where an agent that knows no VLANs does not look, and refuses.
 */
export async function guestToRun(db: Db, guest: Guest, hostId: HostId): Promise<Guest> {
  const tagged = guest.nics.find(({ vlan }) => vlan !== 0);
  if (tagged === undefined) return guest;
  const host = await db.selectFrom('host').select('facts').where('id', '=', hostId).executeTakeFirst();
  if (host?.facts?.vlans !== true)
    throw new GodwitError(
      'NetworkSetupFailed',
      `port ${tagged.portId} is of a VLAN network, and the host's agent does not say that its guest bridge carries VLANs`,
    );
  return sealVlans(guest);
}

/** Ports with a VLAN have no id for agents that know none. */
export const sealVlans = (guest: Guest): Guest => ({
  ...guest,
  nics: guest.nics.map((nic) => (nic.vlan === 0 ? nic : { ...nic, portId: '', vlanPortId: nic.portId })),
});
