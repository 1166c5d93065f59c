/** A hypervisor type as the compute API spells it: `QEMU` (KVM or TCG) or `ironic` (bare metal: listed, never migrates). */
export type HypervisorType = 'QEMU' | 'ironic';

export type StorageKind = 'shared' | 'local';

/** A storage pool as a host reports it. Two hosts share storage when they report the same `poolId` of kind `shared`. */
export type PoolFacts = {
  readonly name: string;
  readonly poolId: string;
  readonly kind: StorageKind;
  readonly totalBytes: number;
  readonly freeBytes: number;
};

/** What a host says of itself (agent RPC `GetHost`); stored with the host, read by the scheduler. */
export type HostFacts = {
  readonly hypervisorType: HypervisorType;
  /** e.g. '10.0.2' */
  readonly qemuVersion: string;
  readonly accelerator: 'kvm' | 'tcg' | 'simulated' | 'none';
  readonly acceleratorReason: string;
  readonly cpuModel: string;
  readonly cpuFeatures: readonly string[];
  /** Named models that run here without a missing feature, and mean the same everywhere. Absent from an agent that does not tell. */
  readonly cpuModels?: readonly string[];
  readonly machineTypes: readonly string[];
  readonly cores: number;
  readonly ramMib: number;
  readonly kernel: string;
  readonly bootedAtMs: number;
  readonly load: readonly [number, number, number];
  readonly pools: readonly PoolFacts[];
  /** Networks (physical bridge names) that guests on this host can reach. */
  readonly bridges: readonly string[];
  /** Its guest bridge carries VLANs. Absent: it does not, or its agent would not hear of them. */
  readonly vlans?: boolean;
  /** Features that the self-test at the agent's start (once per boot, while all works) has seen working, or why not. */
  readonly selfTest: readonly { readonly feature: string; readonly works: boolean; readonly detail: string; readonly durationMs: number }[];
  /** Enforces network policies at its guests' ports. Absent: it cannot. */
  readonly networkPolicy?: boolean;
  /** The newest device layout (domain/guest-spec) that it can build. Absent: 1. */
  readonly deviceLayout?: number;
  /** Builds a channel for the QEMU guest agent into machines that are to have one. Absent: it cannot. */
  readonly guestAgent?: boolean;
  /** Can save the memory of a running guest and resume it from there. Absent: it cannot. */
  readonly suspends?: boolean;
  readonly agentVersion: string;
};
