import type { NicSpec } from '@godwit/domain/guest-spec';
import type { DhcpService } from '../dhcp/dhcp-service.ts';
import type { GuestNetworks } from './guest-networks.ts';
import type { NetworkTools } from './network-tools.ts';
import { deleteTap } from './tap.ts';

/** Taps of a guest that has no process here any more, and then their rules. Repeating it changes nothing. */
export async function removeTaps(
  host: { readonly tools: NetworkTools; readonly networks: GuestNetworks; readonly dhcp: DhcpService | null },
  nics: readonly NicSpec[],
): Promise<void> {
  await Promise.all(nics.map(({ tapName }) => deleteTap(host.tools, tapName)));
  await host.dhcp?.stop(nics);
  await host.networks.leave(nics);
}
