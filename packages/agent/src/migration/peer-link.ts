import { createClient } from '@connectrpc/connect';
import { Peer } from '@godwit/contract/gen/agent_pb';
import type { NetworkEncapsulation, PeerAddress, ReleaseAnswer, ReleaseNotice } from '../drivers/host-driver.ts';
import type { HostIdentity } from '../identity/host-identity.ts';
import { createTlsTransport } from '../rpc/tls-transport.ts';
import { releaseToWire, takeAnswerFromWire } from '../rpc/wire-custody.ts';
import { numberFromWire } from '../rpc/wire-guest.ts';
import type { DiskChunk } from '../storage/disk-stream.ts';
import { type ClockOffset, measureOffset } from './clock.ts';

/** The source's connection to the destination's agent: its own, shared with nothing that could hold the release up. */
export type PeerLink = {
  warm(): Promise<void>;
  clock(nowMs: () => number, times: number): Promise<ClockOffset>;
  /** Rejects when nobody answers: what the destination then did is unknown, and the release is repeated. */
  release(notice: ReleaseNotice, timeoutMs: number): Promise<ReleaseAnswer>;
  /** null: the destination has no mirror for this move. */
  setNetworkOpen(migrationId: string, open: boolean): Promise<NetworkEncapsulation | null>;
  /** A disk's file of a stopped guest, as the other host offers it. */
  readDisk(migrationId: string, diskId: string): AsyncIterable<DiskChunk>;
  close(): void;
};

export function openPeerLink(peer: PeerAddress, identity: HostIdentity): PeerLink {
  const host = peer.address.includes(':') ? `[${peer.address}]` : peer.address;
  const link = createTlsTransport(`https://${host}:${peer.rpcPort}`, identity, { role: 'host', hostId: peer.hostId });
  const client = createClient(Peer, link.transport);
  return {
    warm: () => link.warm(),
    clock: (nowMs, times) => measureOffset(() => client.clock({ sentAtMs: nowMs() }, { timeoutMs: 2_000 }), nowMs, times),
    release: async (notice, timeoutMs) => {
      const answer = await client.release({ release: releaseToWire(notice) }, { timeoutMs });
      return {
        answer: takeAnswerFromWire(answer.answer),
        detail: answer.detail,
        resumedAtMs: answer.resumedAtMs === 0 ? null : answer.resumedAtMs,
      };
    },
    setNetworkOpen: async (migrationId, open) => {
      const { encapsulationJson } = await client.setNetworkOpen({ migrationId, open }, { timeoutMs: 2_000 });
      return encapsulationJson === '' ? null : (JSON.parse(encapsulationJson) as NetworkEncapsulation);
    },
    readDisk: async function* (migrationId, diskId) {
      for await (const { offset, data, fileBytes } of client.readDisk({ migrationId, diskId }))
        yield { offset: numberFromWire(offset, 'offset'), data, fileBytes: numberFromWire(fileBytes, 'file_bytes') };
    },
    close: () => link.close(),
  };
}
