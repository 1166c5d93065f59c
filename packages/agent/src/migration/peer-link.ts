import { createClient } from '@connectrpc/connect';
import { Peer, type ReleaseResponse } from '@godwit/contract/gen/agent_pb';
import { PeerNetwork } from '@godwit/contract/gen/network_pb';
import type { NetworkEncapsulation, PeerAddress, ReleaseAnswer, ReleaseNotice } from '../drivers/host-driver.ts';
import type { HostIdentity } from '../identity/host-identity.ts';
import type { CarriedFlows } from '../network/guest-networks.ts';
import { chunksFromWire } from '../rpc/chunks-from-wire.ts';
import { createTlsTransport } from '../rpc/tls-transport.ts';
import { releaseToWire, takeAnswerFromWire } from '../rpc/wire-custody.ts';
import type { DiskChunk } from '../storage/disk-stream.ts';
import type { ImageRef } from '../storage/image-cache.ts';
import { type ClockOffset, measureOffset } from './clock.ts';
import { HandoverCall } from './handover-call.ts';

/** The source's connection to the destination's agent: its own, shared with nothing that could hold the release up. */
export type PeerLink = {
  warm(): Promise<void>;
  /** Opens the standing call that the release will take, if it does not stand. */
  clock(nowMs: () => number, times: number): Promise<ClockOffset>;
  /** Over the standing call where one stands. Rejects when nobody answers: what the destination then did is unknown, and the release is repeated. */
  release(notice: ReleaseNotice, timeoutMs: number): Promise<ReleaseAnswer>;
  /** null: the destination has no mirror for this move. */
  setNetworkOpen(migrationId: string, open: boolean, busyPorts: readonly number[]): Promise<NetworkEncapsulation | null>;
  carryFlows(migrationId: string, flows: CarriedFlows): Promise<void>;
  /** A disk's file of a stopped guest, as the other host offers it. */
  readDisk(migrationId: string, diskId: string): AsyncIterable<DiskChunk>;
  /** An image out of a pool of the other host. */
  readImage(pool: string, image: ImageRef): AsyncIterable<DiskChunk>;
  close(): void;
};

const clockAnswerMs = 2_000;

export function openPeerLink(peer: PeerAddress, identity: HostIdentity): PeerLink {
  const host = peer.address.includes(':') ? `[${peer.address}]` : peer.address;
  const link = createTlsTransport(`https://${host}:${peer.rpcPort}`, identity, { role: 'host', hostId: peer.hostId });
  const client = createClient(Peer, link.transport);
  const network = createClient(PeerNetwork, link.transport);
  let handover: HandoverCall | null = null;
  return {
    warm: () => link.warm(),
    clock: async (nowMs, times) => {
      if (handover === null || handover.broken) handover = new HandoverCall(client.handover);
      const call = handover;
      return measureOffset(
        async () => {
          const { answer } = await call.ask({ step: { case: 'clock', value: { sentAtMs: nowMs() } } }, clockAnswerMs);
          if (answer.case !== 'clock') throw new Error('the destination answered with something else than its clock');
          return answer.value;
        },
        nowMs,
        times,
      );
    },
    release: async (notice, timeoutMs) => {
      const release = releaseToWire(notice);
      if (handover === null || handover.broken) return answerFromWire(await client.release({ release }, { timeoutMs }));
      const { answer } = await handover.ask({ step: { case: 'release', value: { release } } }, timeoutMs);
      if (answer.case !== 'release') throw new Error('the destination answered with something else than the take');
      return answerFromWire(answer.value);
    },
    setNetworkOpen: async (migrationId, open, busyPorts) => {
      const { encapsulationJson } = await client.setNetworkOpen({ migrationId, open, busyPorts: [...busyPorts] }, { timeoutMs: 2_000 });
      return encapsulationJson === '' ? null : (JSON.parse(encapsulationJson) as NetworkEncapsulation);
    },
    carryFlows: async (migrationId, flows) => {
      await network.carryFlows({ migrationId, flowsJson: { ...flows } }, { timeoutMs: 2_000 });
    },
    readDisk: (migrationId, diskId) => chunksFromWire(() => client.readDisk({ migrationId, diskId })),
    readImage: (pool, { imageId, format }) => chunksFromWire(() => client.readImage({ pool, imageId, format })),
    close: () => {
      handover?.close();
      link.close();
    },
  };
}

const answerFromWire = ({ answer, detail, resumedAtMs }: ReleaseResponse): ReleaseAnswer => ({
  answer: takeAnswerFromWire(answer),
  detail,
  resumedAtMs: resumedAtMs === 0 ? null : resumedAtMs,
});
