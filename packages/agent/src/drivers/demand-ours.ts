import type { HostCustody } from '@godwit/domain/custody/host-custody';
import { REFUSALS, type RefusalCode } from '@godwit/domain/custody/refusal';
import type { Fence, ServerId } from '@godwit/domain/ids';
import { CustodyRefused } from '../custody/custody-refused.ts';
import type { GuestReport } from './guest-report.ts';
import type { Authority } from './host-driver.ts';

/** What a driver knows of a guest's custody, and of what it does. */
type Knowing = {
  readonly custody: { readonly state: (serverId: ServerId) => HostCustody };
  readonly guests: { readonly report: (serverId: ServerId) => Pick<GuestReport, 'migrationId'> };
};

/** The highest fence under which a guest's devices were changed, by the custody that it is in: custody's own is raised by its orders alone. It is forgotten with the agent, as the calls are that this one has not answered. */
const obeyed = new WeakMap<Knowing['custody'], Map<ServerId, Fence>>();

/** A copy that lives here is the one that is meant and is not on its way elsewhere; where none lives, no younger order is known. A suspended guest's disk may be read, not changed: its memory knows it as it is. Who was overtaken changes nothing any more. Nothing of custody changes. */
export function demandOurs(host: Knowing, { serverId, epoch, fence }: Authority, only: 'reads' | 'changes' = 'changes'): void {
  const state = host.custody.state(serverId);
  const { copy } = state;
  const refuse = (code: RefusalCode): never => {
    throw new CustodyRefused({ code, message: REFUSALS[code], epoch, knownEpoch: state.knownEpoch, knownFence: state.fence });
  };
  const fences = obeyed.get(host.custody) ?? new Map<ServerId, Fence>();
  if (fence < state.fence || (only === 'changes' && fence < (fences.get(serverId) ?? fence))) refuse('custody-fence-low');
  if (copy.kind === 'granted' || copy.kind === 'released' || (copy.kind === 'suspended' && only === 'changes'))
    refuse('custody-not-stopped');
  if (copy.kind === 'held' && copy.alive) {
    // Its own epoch, whatever higher ones were burned by moves that failed.
    if (copy.grant.epoch !== epoch) refuse('custody-epoch-unknown');
    if (copy.outgoing !== null || host.guests.report(serverId).migrationId !== null) refuse('custody-migrating');
  } else if (copy.kind === 'suspended') {
    if (copy.grant.epoch !== epoch) refuse('custody-epoch-unknown');
  } else if (epoch < state.knownEpoch) refuse('custody-epoch-stale');
  if (only === 'changes') obeyed.set(host.custody, fences.set(serverId, fence));
}
