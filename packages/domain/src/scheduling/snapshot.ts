import type { HostState } from './host-state.ts';
import { hashId } from './tie-break.ts';

/** All hosts at one moment, with what every decision would otherwise compute again. */
export type Snapshot = { readonly hosts: readonly HostState[]; readonly idHashes: Uint32Array };

export function snapshotOf(hosts: readonly HostState[]): Snapshot {
  return { hosts, idHashes: Uint32Array.from(hosts, (host) => hashId(host.id)) };
}
