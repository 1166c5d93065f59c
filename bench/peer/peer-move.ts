/** Who moves the guest: Godwit, whose downtime limit is 30 ms, or `virsh migrate --live` with the same limit, or with libvirt's own. */
export const peerSystems = ['godwit', 'virsh, limit 30', 'virsh, defaults'] as const;
export type PeerSystem = (typeof peerSystems)[number];
export const peerRatesMBs: readonly number[] = [0, 50];

/** What any of them gives, in milliseconds on the machine's one clock. */
export type PeerTimes = {
  /** Asked for (POST sent, or virsh started) → RESUME at the destination. */
  readonly startToRunningMs: number;
  /** Asked for → over (the API says completed, or virsh has ended). */
  readonly wallMs: number;
  /** QEMU's own share of that: from its `setup` to its `completed`. */
  readonly qemuTotalMs: number;
  readonly stopToResumeMs: number;
};

export type PeerMove = PeerTimes & {
  readonly system: PeerSystem;
  readonly tls: boolean;
  readonly rateMBs: number;
  readonly achievedMBs: number;
  readonly clientGapMs: number | null;
  readonly tcpStallMs: number;
  readonly tcpResets: number;
  readonly foreignCores: number;
};

/** libvirt's own limit is compared at rest alone: a guest that writes stands for most of it in any case. */
export const peerCells: readonly { readonly system: PeerSystem; readonly rateMBs: number }[] = peerSystems.flatMap((system) =>
  peerRatesMBs.filter((rateMBs) => system !== 'virsh, defaults' || rateMBs === 0).map((rateMBs) => ({ system, rateMBs })),
);

export type PeerWindow = {
  readonly libvirt: string;
  readonly moves: readonly PeerMove[];
  /** Why nothing of it counts. */
  readonly void?: string;
};
