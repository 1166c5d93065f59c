import type { ResolvedPolicy } from '@godwit/domain/convergence/resolve-policy';
import type { CustodyRow } from '@godwit/domain/custody/custody-row';
import type { DeviceLayout } from '@godwit/domain/guest-spec';
import type { HostFacts } from '@godwit/domain/host';
import type { StreamRecord } from '@godwit/domain/memory-stream';
import type {
  EarlierAttempt,
  MigrationMeasures,
  MigrationOutcome,
  MigrationPhase,
  MigrationStatus,
  MigrationType,
  TimelineEntry,
} from '@godwit/domain/migration';
import type { PowerState, TaskState, VmState } from '@godwit/domain/server';
import type { ColumnType, Generated, JSONColumnType } from 'kysely';

/**
 * The tables of migrations/0001-core.sql … 0019. How columns arrive: bigint as number (a value beyond 2^53 throws), timestamptz as Date (milliseconds:
 * compare and order in SQL where microseconds matter), inet, cidr and macaddr as strings, jsonb parsed. jsonb is written as a string
 * (`JSON.stringify`), because the driver would take a plain array for a PostgreSQL array.
 */
export interface CoreTables {
  host: HostTable;
  join_token: JoinTokenTable;
  aggregate: AggregateTable;
  aggregate_host: { aggregate_id: number; host_id: string };
  flavor: FlavorTable;
  flavor_access: { flavor_id: string; project_id: string };
  image: ImageTable;
  network: NetworkTable;
  subnet: SubnetTable;
  server: ServerTable;
  disk: DiskTable;
  /** What a config drive says: see workflows/server/config-drive-files.ts. */
  config_drive: { server_id: string; files: JSONColumnType<{ readonly path: string; readonly base64: string }[]> };
  port: PortTable;
  ip_allocation: { subnet_id: string; address: string; port_id: string };
  server_group: ServerGroupTable;
  server_group_member: { group_id: string; server_id: string };
  migration: MigrationTable;
  allocation: AllocationTable;
  instance_action: InstanceActionTable;
  instance_action_event: InstanceActionEventTable;
  executor: ExecutorTable;
  certificate_authority: CertificateAuthorityTable;
  workflow: WorkflowTable;
  duty: { name: string; executor_id: string; expires_at: Date };
  event: EventTable;
  setting: { key: string; value: JSONColumnType<object> };
}

/** jsonb: parsed when read, a JSON string when written; may be left out where the column has a default. */
export type Json<T extends object> = ColumnType<T, string | undefined, string>;
/** A nullable jsonb column. */
export type NullableJson<T extends object> = ColumnType<T | null, string | null | undefined, string | null>;
type Now = ColumnType<Date, Date | undefined, Date>;

export interface HostTable {
  id: string;
  api_id: Generated<number>;
  service_id: Generated<string>;
  name: string;
  hypervisor_type: HostFacts['hypervisorType'];
  address: string;
  rpc_port: number;
  initial_zone: string | null;
  enabled: Generated<boolean>;
  disabled_reason: string | null;
  forced_down: Generated<boolean>;
  reachable: Generated<boolean>;
  last_seen_at: Date | null;
  boot_id: string | null;
  fenced_at: Date | null;
  /** Its boot when it was fenced: in another one nothing of what ran there is left. */
  fenced_boot_id: string | null;
  /** When everything that it has was compared with the database, after the fencing. */
  fence_compared_at: Date | null;
  facts: ColumnType<HostFacts, string, string>;
  certificate_fingerprint: string | null;
  restart_guests_after_boot: Generated<boolean>;
  migration_bandwidth_bytes: number | null;
  deleted_at: Date | null;
  created_at: Now;
  updated_at: Now;
}

export interface JoinTokenTable {
  secret_hash: string;
  host_name: string | null;
  expires_at: Date;
  used_at: Date | null;
  used_by: string | null;
  request_hash: string | null;
  created_at: Now;
}

export interface AggregateTable {
  id: Generated<number>;
  uuid: Generated<string>;
  name: string;
  metadata: Json<Record<string, string>>;
  created_at: Now;
  updated_at: Date | null;
  deleted_at: Date | null;
}

export interface FlavorTable {
  id: string;
  name: string;
  vcpus: number;
  ram_mib: number;
  disk_gib: number;
  ephemeral_gib: Generated<number>;
  swap_mib: Generated<number>;
  rxtx_factor: Generated<number>;
  is_public: Generated<boolean>;
  disabled: Generated<boolean>;
  description: string | null;
  extra_specs: Json<Record<string, string>>;
  created_at: Now;
  updated_at: Date | null;
  deleted_at: Date | null;
}

export interface ImageTable {
  id: string;
  name: string | null;
  owner: string | null;
  status: 'queued' | 'saving' | 'active' | 'deactivated' | 'deleted' | 'killed';
  visibility: Generated<'public' | 'private' | 'shared' | 'community'>;
  protected: Generated<boolean>;
  disk_format: string | null;
  container_format: string | null;
  size_bytes: number | null;
  virtual_size_bytes: number | null;
  md5: string | null;
  sha512: string | null;
  min_disk_gib: Generated<number>;
  min_ram_mib: Generated<number>;
  tags: Generated<string[]>;
  properties: Json<Record<string, string>>;
  created_at: Now;
  updated_at: Now;
  deleted_at: Date | null;
  hidden: Generated<boolean>;
  upload_started_at: Date | null;
}

export interface NetworkTable {
  id: string;
  name: string;
  project_id: string | null;
  shared: Generated<boolean>;
  admin_state_up: Generated<boolean>;
  mtu: Generated<number>;
  bridge: string | null;
  /** null: flat. */
  vlan: number | null;
  created_at: Now;
  updated_at: Now;
  description: Generated<string>;
  /** What its new ports have when they do not say. */
  port_security_enabled: Generated<boolean>;
}

export interface SubnetTable {
  id: string;
  network_id: string;
  name: Generated<string>;
  cidr: string;
  gateway: string | null;
  pool_start: string;
  pool_end: string;
  enable_dhcp: Generated<boolean>;
  dns_nameservers: Generated<string[]>;
  project_id: string | null;
  created_at: Now;
  updated_at: Now;
  description: Generated<string>;
}

/** A flavor as it was when the server was made or resized. */
export type FlavorSnapshot = {
  readonly name: string;
  readonly vcpus: number;
  /** What the server was scaled to since; absent: never. */
  readonly scaled_vcpus?: number;
  readonly ram_mib: number;
  /** What the server was scaled to since; absent: never. */
  readonly scaled_ram_mib?: number;
  readonly disk_gib: number;
  readonly ephemeral_gib: number;
  readonly swap_mib: number;
  readonly extra_specs: Readonly<Record<string, string>>;
};

/** Why a server is in ERROR, as the compute API shows it; `created` is ISO 8601 UTC. */
export type ServerFault = { readonly code: number; readonly message: string; readonly details?: string; readonly created: string };

/** What the custody row has beside the server's own columns (`epoch` there is `highest_epoch` here). */
export type CustodyColumn = Pick<CustodyRow, 'holder' | 'operation' | 'remains' | 'behind'>;

export type RescueColumn = { readonly imageId: string; readonly directBoot: DirectBootColumn | null };
/** `at`: when it became SHELVED (ISO 8601 UTC), null before; `failedAt`: when its disk could not be given up; `replaced`: files of disks that are still to be deleted on its host. */
export type ShelvedColumn = {
  readonly imageId: string;
  readonly at: string | null;
  readonly failedAt: string | null;
  readonly replaced: readonly { readonly id: string; readonly pool: string; readonly format: string; readonly sizeBytes: number }[];
};
export type DirectBootColumn = { readonly kernelImageId: string; readonly ramdiskImageId: string; readonly commandLine: string };

export interface ServerTable {
  id: string;
  name: string;
  hostname: string;
  description: string | null;
  project_id: string;
  user_id: string;
  vm_state: VmState;
  task_state: TaskState;
  power_state: ColumnType<PowerState, PowerState | undefined, PowerState>;
  host_id: string | null;
  epoch: Generated<number>;
  highest_epoch: Generated<number>;
  requested_zone: string | null;
  scheduler_hints: Json<{ group?: string; same_host?: readonly string[]; different_host?: readonly string[] }>;
  image_id: string | null;
  flavor_id: string;
  flavor: ColumnType<FlavorSnapshot, string, string>;
  machine_type: string | null;
  cpu_model: string | null;
  /** The layout of devices that it was first started with; null: not started yet. */
  device_layout: DeviceLayout | null;
  /** Of the process that runs it, as its host last said; null: not known. */
  qemu_version: string | null;
  direct_boot: NullableJson<DirectBootColumn>;
  /** While it is rescued: what it boots from. */
  rescue: NullableJson<RescueColumn>;
  /** While it is shelved, being shelved or unshelved: the image that its disk is kept in. */
  shelved: NullableJson<ShelvedColumn>;
  metadata: Json<Record<string, string>>;
  tags: Generated<string[]>;
  key_name: string | null;
  user_data: string | null;
  config_drive: Generated<boolean>;
  /** Its machine is to have a channel for the QEMU guest agent. */
  guest_agent: Generated<boolean>;
  /** Whether the machine that runs has one, where its host tells otherwise; null: as asked. */
  machine_guest_agent: boolean | null;
  disk_config: Generated<string>;
  locked: Generated<boolean>;
  locked_reason: string | null;
  locked_by: 'owner' | 'admin' | null;
  access_ip_v4: string | null;
  access_ip_v6: string | null;
  reservation_id: string;
  launch_index: Generated<number>;
  progress: Generated<number>;
  fault: NullableJson<ServerFault>;
  /** The executor in charge of the server: every write of an executor is conditional on it. */
  fence: Generated<number>;
  custody: Json<CustodyColumn>;
  launched_at: Date | null;
  terminated_at: Date | null;
  deleted_at: Date | null;
  created_at: Now;
  updated_at: Now;
}

export interface DiskTable {
  id: string;
  server_id: string;
  device_index: number;
  pool: string;
  storage: 'shared' | 'local';
  format: 'qcow2' | 'raw';
  size_bytes: number;
  image_id: string | null;
  /** The guest has not run with it yet: the next start makes it. Of a server that was never launched all disks are. */
  fresh: Generated<boolean>;
}

export type FixedIpColumn = {
  readonly subnetId: string;
  readonly address: string;
  readonly prefixLength: number;
  readonly gateway: string | null;
};

export interface PortTable {
  id: string;
  network_id: string;
  project_id: string;
  server_id: string | null;
  device_index: number | null;
  name: Generated<string>;
  mac: string;
  fixed_ips: Json<readonly FixedIpColumn[]>;
  host_id: string | null;
  status: Generated<string>;
  created_at: Now;
  updated_at: Now;
  description: Generated<string>;
  admin_state_up: Generated<boolean>;
  /** Made for its server: deleted with it; otherwise only unbound. */
  delete_with_server: Generated<boolean>;
  port_security_enabled: Generated<boolean>;
  /** What its user calls it, for the guest to find it by. */
  tag: string | null;
  /** What it may send as besides its own. */
  allowed_address_pairs: Json<readonly { readonly mac: string; readonly address: string }[]>;
}

export interface ServerGroupTable {
  id: string;
  name: string;
  policy: 'affinity' | 'anti-affinity' | 'soft-affinity' | 'soft-anti-affinity';
  max_server_per_host: number | null;
  project_id: string;
  user_id: string;
  created_at: Now;
  deleted_at: Date | null;
}

/** The migration row is the saga's log: every write of an executor is conditional on `fence`. */
export interface MigrationTable {
  id: string;
  api_id: Generated<number>;
  server_id: string;
  type: MigrationType;
  status: MigrationStatus;
  phase: MigrationPhase;
  fence: Generated<number>;
  source_host_id: string | null;
  destination_host_id: string | null;
  requested_host: string | null;
  block_migration: Generated<'auto' | 'true' | 'false'>;
  /** A local disk need not fit at its full size. */
  disk_over_commit: Generated<boolean>;
  /** Disks that were copied lie at the source still; they are deleted when it answers again. */
  source_disks_left: Generated<boolean>;
  /** Destinations that have rebooted before the guest left the source: what was copied there lies there still, and is deleted too. */
  disks_left_at: Generated<string[]>;
  /** What it may cost, and who said so. Empty in records older than policies. */
  policy: Json<Partial<ResolvedPolicy>>;
  epoch_from: number | null;
  epoch_to: number | null;
  grant_end_state: 'running' | 'paused' | null;
  old_flavor_id: string | null;
  new_flavor_id: string | null;
  /** Cold moves: the server's flavor before and after. */
  old_flavor: NullableJson<FlavorSnapshot>;
  new_flavor: NullableJson<FlavorSnapshot>;
  previous_vm_state: VmState;
  abort_requested_at: Date | null;
  memory_total_bytes: number | null;
  memory_processed_bytes: number | null;
  memory_remaining_bytes: number | null;
  disk_total_bytes: number | null;
  disk_processed_bytes: number | null;
  disk_remaining_bytes: number | null;
  measures: Json<Partial<MigrationMeasures>>;
  timeline: Json<readonly TimelineEntry[]>;
  phase_durations_ms: Json<Readonly<Record<string, number>>>;
  verdicts: NullableJson<object>;
  incoming_ready: NullableJson<object>;
  /** Null until it is prepared, and in records older than streams. */
  memory_stream: NullableJson<StreamRecord>;
  release: NullableJson<object>;
  outcome: NullableJson<MigrationOutcome>;
  force_requested_at: Date | null;
  /** Grows when what it may cost is changed while it runs. */
  policy_version: Generated<number>;
  max_bandwidth_bytes: number | null;
  attempts: Json<readonly EarlierAttempt[]>;
  prediction: NullableJson<object>;
  prediction_score: NullableJson<object>;
  user_id: string;
  project_id: string;
  request_id: string;
  created_at: Now;
  updated_at: Date | null;
  finished_at: Date | null;
}

export interface AllocationTable {
  consumer_id: string;
  consumer_type: 'server' | 'migration';
  server_id: string;
  host_id: string;
  vcpus: number;
  ram_mib: number;
  disk_gib: number;
  created_at: Now;
}

export interface InstanceActionTable {
  id: Generated<number>;
  server_id: string;
  action: string;
  request_id: string;
  user_id: string | null;
  project_id: string | null;
  message: string | null;
  start_time: Now;
  updated_at: Now;
}

export interface InstanceActionEventTable {
  id: Generated<number>;
  action_id: number;
  event: string;
  host_id: string | null;
  start_time: Now;
  finish_time: Date | null;
  result: string | null;
  traceback: string | null;
  details: string | null;
}

export interface ExecutorTable {
  id: string;
  name: Generated<string>;
  started_at: Now;
  heartbeat_at: Now;
  application_version: string;
}

export interface CertificateAuthorityTable {
  id: Generated<number>;
  certificate_pem: string;
  private_key_pem: string;
  not_after: Date;
  active_from: Date;
  created_at: Now;
}

export interface WorkflowTable {
  id: Generated<string>;
  kind: string;
  subject_id: string;
  input: Json<object>;
  executor_id: string | null;
  fence: number | null;
  attempts: Generated<number>;
  not_before: Now;
  last_error: string | null;
  created_at: Now;
  finished_at: Date | null;
  request_id: string | null;
  traceparent: string | null;
}

export interface EventTable {
  id: Generated<number>;
  kind: 'server' | 'migration' | 'host' | 'operation';
  subject_id: string;
  project_id: string | null;
  data: ColumnType<object, string, never>;
  at: Now;
}
