import type { HostMessage, PeerMessage } from '@godwit/domain/custody/host-effect';
import { unknownServer } from '@godwit/domain/custody/recover';
import { GodwitError } from '@godwit/domain/errors';
import type { BootId, HostId, ServerId } from '@godwit/domain/ids';
import type { LoadedConfig } from '../../load-agent-config.ts';
import type { CustodyPort } from './custody-port.ts';
import type { DriverLog } from './qemu-host.ts';

export type CustodyWiring = {
  readonly config: LoadedConfig;
  readonly hostId: HostId;
  readonly bootId: BootId;
  readonly log: DriverLog;
  /** Tells another host; at least once, not waited for. */
  readonly send: (serverId: ServerId, to: HostId, message: PeerMessage) => void;
  /** News that no caller of `feed` gets. */
  readonly told: (serverId: ServerId, message: HostMessage) => void;
};

export async function openCustody(wiring: CustodyWiring): Promise<CustodyPort> {
  return {
    feed: () => Promise.reject(new GodwitError('NotImplemented', 'the custody gate is not built in yet')),
    attach: () => undefined, state: (serverId) => unknownServer(serverId, wiring.hostId, wiring.bootId), servers: () => [], adopt: () => Promise.resolve(), close: () => Promise.resolve(),
  };
}
