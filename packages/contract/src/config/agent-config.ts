/** The agent's configuration file (YAML, or JSON), one per host; every key may be overridden by the environment variable named beside it. */
export type AgentConfig = {
  /** GODWIT_HOST_NAME: the host's name in the API; unique in the cloud. */
  readonly hostName: string;
  /** GODWIT_STATE_DIR: journal, certificates, guests' run directories. Keep it short: socket paths are limited to 107 bytes. */
  readonly stateDir: string;
  /** `qemu`: real guests. `simulated`: no QEMU, for scale and for bare-metal hosts. */
  readonly driver: 'qemu' | 'simulated';
  /** Only with driver `simulated`: the hosts this one process plays (each joins as a host of its own). */
  readonly simulatedHosts?: readonly {
    readonly name: string;
    readonly hypervisorType: 'QEMU' | 'ironic';
    readonly zone?: string;
    readonly cores: number;
    readonly ramMib: number;
    readonly diskGib: number;
    /** What differs on this host from GODWIT_SIMULATED_TIMINGS: how long things take there, and how often they fail. */
    readonly timings?: Readonly<Record<string, number>>;
  }[];
  /** GODWIT_MANAGEMENT_ADDRESS: where the agent's RPC and the migration streams listen; never a wildcard. */
  readonly managementAddress: string;
  /** GODWIT_RPC_PORT, default 8781. */
  readonly rpcPort: number;
  /** GODWIT_CONTROLLER_URL: the controller's agent listener, e.g. https://10.77.0.1:8780 */
  readonly controllerUrl: string;
  /** GODWIT_JOIN_TOKEN_FILE: one-time token with the CA's fingerprint (`<secret>.<sha256 of the CA certificate>`); read only while there is no certificate. */
  readonly joinTokenFile: string;
  /** GODWIT_BOOT_ID_FILE, default /proc/sys/kernel/random/boot_id; the lab injects one per host. */
  readonly bootIdFile?: string;
  /** GODWIT_ZONE: availability zone the host joins at first. */
  readonly zone?: string;
  /**
   * The guest bridge, made if absent; `uplink` is attached to it. `vlans`: it carries VLAN networks, tagged on the uplink; a bridge that is there begins to look at tags then. `openvswitch`: an existing Open vSwitch
   * bridge that it is connected to, in place of an uplink.
   */
  readonly bridge: { readonly name: string; readonly uplink?: string; readonly vlans?: boolean; readonly openvswitch?: string };
  readonly pools: readonly {
    readonly name: string;
    readonly kind: 'shared' | 'local' | 'rbd';
    /** Kind `rbd`: a directory of this host's own, for images and for what is copied out of disks. */
    readonly path: string;
    readonly directIo?: boolean;
    readonly declaredCoherent?: boolean;
    /** Kind `rbd`: the cluster's pool, and how this host comes to it; default configuration `/etc/ceph/ceph.conf`, user `admin`. */
    readonly ceph?: { readonly pool: string; readonly namespace?: string; readonly conf?: string; readonly user?: string };
  }[];
  /** `auto` probes KVM by booting a guest. */
  readonly accelerator?: 'auto' | 'tcg' | 'kvm';
  /** QEMU image locks; off only in custody tests. */
  readonly imageLocking?: boolean;
  /** Ports for migration streams, inclusive; default 49152-49215. */
  readonly migrationPorts?: readonly [number, number];
  /** false: disks of a live migration are copied without TLS. Both hosts of a move have to say so. */
  readonly diskStreamTls?: boolean;
  /** false: a guest's memory is copied without TLS, readable and alterable by whoever is on the way. Both hosts of a move have to say so. */
  readonly memoryStreamTls?: boolean;
  /**
   * false: the agent and the guests of a switchover are served in their turn like any other process. Else, while a move is under way here, the agent's main thread is SCHED_RR 1 and
   * the threads of the guest in its switchover have nice -10 (CAP_SYS_NICE; under systemd nothing else is needed, unless RestrictRealtime= or a CPU quota forbids it).
   */
  readonly switchoverPrecedence?: boolean;
  /** OTEL_EXPORTER_OTLP_ENDPOINT: an OTLP/HTTP collector that gets traces, e.g. http://collector:4318. Absent: none are made. */
  readonly tracing?: { readonly endpoint: string };
  /** GODWIT_CLOCK_SKEW_MS: added to this agent's clock (tests of the blackout's clock correction). */
  readonly clockSkewMs?: number;
  /** Track unsynced journal bytes so that a lab can model a power loss. */
  readonly modelPowerLoss?: boolean;
};
