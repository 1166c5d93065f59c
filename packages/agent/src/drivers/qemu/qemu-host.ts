import type { BootId, HostId } from '@godwit/domain/ids';
import type { DhcpService } from '../../dhcp/dhcp-service.ts';
import type { CurrentIdentity } from '../../host-agent.ts';
import type { LoadedConfig } from '../../load-agent-config.ts';
import type { PortRange } from '../../migration/port-range.ts';
import type { GuestNetworks } from '../../network/guest-networks.ts';
import type { NetworkTools } from '../../network/network-tools.ts';
import type { Precedence } from '../../precedence.ts';
import type { QemuCapabilities } from '../../qemu/capabilities.ts';
import type { ControllerLink } from '../../rpc/controller-link.ts';
import type { Pool } from '../../storage/pool.ts';
import type { WallClock } from '../../wall-clock.ts';
import type { HostEvents } from '../host-events.ts';
import type { CustodyPort } from './custody-port.ts';
import type { Exclusive } from './exclusive.ts';
import type { GuestRegistry } from './guest-registry.ts';
import type { HostDefaults } from './guest-spec-of.ts';

export type DriverLog = {
  readonly debug: (fields: Record<string, unknown>, message: string) => void;
  readonly info: (fields: Record<string, unknown>, message: string) => void;
  readonly warn: (fields: Record<string, unknown>, message: string) => void;
  readonly error: (fields: Record<string, unknown>, message: string) => void;
};

/** Everything about this host that starting and moving guests needs; made once, when the driver opens. */
export type QemuHost = {
  readonly config: LoadedConfig;
  readonly hostId: HostId;
  readonly bootId: BootId;
  readonly identity: CurrentIdentity;
  readonly capabilities: QemuCapabilities;
  readonly defaults: HostDefaults;
  readonly pools: ReadonlyMap<string, Pool>;
  readonly tools: NetworkTools;
  readonly networks: GuestNetworks;
  /** null: this kernel cannot (VXLAN, traffic control); said in the log. */
  readonly dhcp: DhcpService | null;
  readonly ports: PortRange;
  readonly clock: WallClock;
  readonly events: HostEvents;
  readonly custody: CustodyPort;
  readonly controller: ControllerLink;
  readonly guests: GuestRegistry;
  readonly log: DriverLog;
  readonly precedence: Precedence;
  readonly exclusive: Exclusive;
};
