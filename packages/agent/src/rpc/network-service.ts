import type { ServiceImpl } from '@connectrpc/connect';
import type { GuestNetwork, PeerNetwork } from '@godwit/contract/gen/network_pb';
import type { HostDriver } from '../drivers/host-driver.ts';
import { requireHost } from './caller.ts';
import { idFromWire } from './wire-guest.ts';
import { networkPolicyFromWire } from './wire-network.ts';

/** The GuestNetwork service over a driver. */
export const guestNetworkService = (driver: HostDriver): ServiceImpl<typeof GuestNetwork> => ({
  setPolicy: async ({ policyJson }) => {
    await driver.setNetworkPolicy(networkPolicyFromWire(policyJson));
    return {};
  },
});

/** The PeerNetwork service over a driver: a host may speak only for guests of its own moves. */
export const peerNetworkService = (driver: HostDriver): ServiceImpl<typeof PeerNetwork> => ({
  carryFlows: async ({ migrationId, flowsJson }, context) => {
    await driver.carryFlows(requireHost(context.values), idFromWire(migrationId, 'migration id'), flowsJson);
    return {};
  },
});
