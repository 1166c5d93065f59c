import type { Client } from '@connectrpc/connect';
import type { Agent } from '@godwit/contract/gen/agent_pb';
import type { HostId } from '@godwit/domain/ids';

/** RPC clients to the hosts' agents, over mTLS; the connection to a host is kept open and shared. */
export type Agents = {
  /**
   * The client of one host. Calls reject with ConnectError; `refusalOf` reads the code out of it.
   * Throws GodwitError HostNotFound when there is no such host.
   */
  readonly client: (host: HostId) => Promise<Client<typeof Agent>>;
  /** Forgets the connection to a host whose address or certificate changed. */
  readonly forget: (host: HostId) => void;
  readonly close: () => Promise<void>;
};
