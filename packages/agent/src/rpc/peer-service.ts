import { create } from '@bufbuild/protobuf';
import type { ServiceImpl } from '@connectrpc/connect';
import { ClockResponseSchema, type Peer, ReleaseResponseSchema, SetNetworkOpenResponseSchema } from '@godwit/contract/gen/agent_pb';
import type { HostDriver } from '../drivers/host-driver.ts';
import { forbidden, requireHost } from './caller.ts';
import { diskChunks } from './disk-streams.ts';
import { releaseFromWire, takeAnswerToWire } from './wire-custody.ts';
import { idFromWire } from './wire-guest.ts';

/** The Peer service over a driver. A host may speak only for itself: the release's source must be the certificate's host. */
export function peerService(driver: HostDriver): ServiceImpl<typeof Peer> {
  return {
    clock: () => {
      const receivedAtMs = driver.nowMs();
      return create(ClockResponseSchema, { receivedAtMs, sentAtMs: driver.nowMs() });
    },
    release: async ({ release }, context) => {
      const notice = releaseFromWire(release);
      const caller = requireHost(context.values);
      if (notice.source !== caller) throw forbidden(`host ${caller} cannot release for host ${notice.source}`);
      const { answer, detail, resumedAtMs } = await driver.release(notice);
      return create(ReleaseResponseSchema, { answer: takeAnswerToWire(answer), detail, resumedAtMs: resumedAtMs ?? 0 });
    },
    readDisk: ({ migrationId, diskId }, context) =>
      diskChunks(driver, requireHost(context.values), idFromWire(migrationId, 'migration id'), diskId),
    setNetworkOpen: async ({ migrationId, open }, context) => {
      const opened = await driver.setNetworkOpen(requireHost(context.values), idFromWire(migrationId, 'migration id'), open);
      return create(SetNetworkOpenResponseSchema, { encapsulationJson: opened ? JSON.stringify(opened) : '' });
    },
  };
}
