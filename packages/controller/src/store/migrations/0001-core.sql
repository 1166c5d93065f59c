-- The core of the model: hosts, servers, migrations, the ledger, actions, events.
-- Times are timestamptz (UTC); bytes are bigint; JSON columns hold domain types named in the comment.

create table host (
  id uuid primary key,
  api_id integer generated always as identity unique,      -- integer ids of services and hypervisors below 2.53
  service_id uuid not null unique default gen_random_uuid(),
  name text not null unique,
  hypervisor_type text not null check (hypervisor_type in ('QEMU', 'ironic')),
  address text not null,
  rpc_port integer not null,
  initial_zone text,                                        -- becomes membership of the aggregate with that zone
  enabled boolean not null default true,
  disabled_reason text,
  forced_down boolean not null default false,
  reachable boolean not null default false,                 -- by this cloud's controllers, see last_seen_at
  last_seen_at timestamptz,
  boot_id text,
  fenced_at timestamptz,
  facts jsonb not null,                                     -- domain HostFacts
  certificate_fingerprint text,
  restart_guests_after_boot boolean not null default false,
  deleted_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table join_token (
  secret_hash text primary key,
  host_name text,                                           -- null: any new name
  expires_at timestamptz not null,
  used_at timestamptz,
  used_by uuid references host (id),
  created_at timestamptz not null default now()
);

create table aggregate (
  id integer generated always as identity primary key,
  uuid uuid not null unique default gen_random_uuid(),
  name text not null,
  metadata jsonb not null default '{}',                     -- availability_zone lives here, as in Nova
  created_at timestamptz not null default now(),
  updated_at timestamptz,
  deleted_at timestamptz
);
create unique index aggregate_name on aggregate (name) where deleted_at is null;
create table aggregate_host (
  aggregate_id integer not null references aggregate (id),
  host_id uuid not null references host (id),
  primary key (aggregate_id, host_id)
);

create table flavor (
  id text primary key,
  name text not null,
  vcpus integer not null check (vcpus > 0),
  ram_mib integer not null check (ram_mib > 0),
  disk_gib integer not null check (disk_gib >= 0),
  ephemeral_gib integer not null default 0,
  swap_mib integer not null default 0,
  rxtx_factor double precision not null default 1.0,
  is_public boolean not null default true,
  disabled boolean not null default false,
  description text,
  extra_specs jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz,
  deleted_at timestamptz
);
create table flavor_access (flavor_id text not null references flavor (id), project_id text not null, primary key (flavor_id, project_id));

create table image (
  id uuid primary key,
  name text,
  owner text,                                               -- project id
  status text not null check (status in ('queued', 'saving', 'active', 'deactivated', 'deleted', 'killed')),
  visibility text not null default 'shared' check (visibility in ('public', 'private', 'shared', 'community')),
  protected boolean not null default false,
  disk_format text,
  container_format text,
  size_bytes bigint,
  virtual_size_bytes bigint,
  md5 text,
  sha512 text,
  min_disk_gib integer not null default 0,
  min_ram_mib integer not null default 0,
  tags text[] not null default '{}',
  properties jsonb not null default '{}',                   -- kernel_id, ramdisk_id, os_command_line, owner_specified.* …
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz
);

create table network (
  id uuid primary key,
  name text not null,
  project_id text,
  shared boolean not null default false,
  admin_state_up boolean not null default true,
  mtu integer not null default 1500,
  bridge text,                                              -- null: the agent's guest bridge
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create table subnet (
  id uuid primary key,
  network_id uuid not null references network (id) on delete cascade,
  name text not null default '',
  cidr cidr not null,
  gateway inet,
  pool_start inet not null,
  pool_end inet not null,
  enable_dhcp boolean not null default false,
  dns_nameservers text[] not null default '{}',
  project_id text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table server (
  id uuid primary key,
  name text not null,
  hostname text not null,
  description text,
  project_id text not null,
  user_id text not null,
  vm_state text not null,                                   -- domain VmState
  task_state text,                                          -- domain TaskState
  power_state integer not null default 0,                   -- domain PowerState
  host_id uuid references host (id),                        -- null until scheduled
  epoch bigint not null default 0,                          -- custody epoch in force; only grows
  highest_epoch bigint not null default 0,                  -- highest ever granted (burned numbers included)
  requested_zone text,                                      -- the server stays in it in every move
  scheduler_hints jsonb not null default '{}',
  image_id uuid,
  flavor_id text not null,
  flavor jsonb not null,                                    -- snapshot at create or resize: {name, vcpus, ram_mib, disk_gib, ephemeral_gib, swap_mib, extra_specs}
  machine_type text,                                        -- pinned at the first start
  cpu_model text,
  direct_boot jsonb,                                        -- {kernelImageId, ramdiskImageId, commandLine}
  metadata jsonb not null default '{}',
  tags text[] not null default '{}',
  key_name text,
  user_data text,
  config_drive boolean not null default false,
  disk_config text not null default 'MANUAL',
  locked boolean not null default false,
  locked_reason text,
  reservation_id text not null,
  launch_index integer not null default 0,
  progress integer not null default 0,
  fault jsonb,                                              -- {code, message, details, created}
  launched_at timestamptz,
  terminated_at timestamptz,
  deleted_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index server_host on server (host_id) where deleted_at is null;
create index server_project on server (project_id) where deleted_at is null;

create table disk (
  id uuid primary key,
  server_id uuid not null references server (id),
  device_index integer not null,
  pool text not null,
  storage text not null check (storage in ('shared', 'local')),
  format text not null check (format in ('qcow2', 'raw')),
  size_bytes bigint not null,
  image_id uuid,
  unique (server_id, device_index)
);

create table port (
  id uuid primary key,
  network_id uuid not null references network (id),
  project_id text not null,
  server_id uuid references server (id),
  device_index integer,
  name text not null default '',
  mac macaddr not null unique,
  fixed_ips jsonb not null default '[]',                    -- [{subnetId, address, prefixLength, gateway}]
  host_id uuid references host (id),
  status text not null default 'DOWN',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create table ip_allocation (
  subnet_id uuid not null references subnet (id) on delete cascade,
  address inet not null,
  port_id uuid not null references port (id) on delete cascade,
  primary key (subnet_id, address)
);

create table server_group (
  id uuid primary key,
  name text not null,
  policy text not null check (policy in ('affinity', 'anti-affinity', 'soft-affinity', 'soft-anti-affinity')),
  max_server_per_host integer,
  project_id text not null,
  user_id text not null,
  created_at timestamptz not null default now(),
  deleted_at timestamptz
);
create table server_group_member (
  group_id uuid not null references server_group (id),
  server_id uuid not null references server (id),
  primary key (group_id, server_id)
);

-- The migration row is the saga's log: every write is conditional on its fence.
create table migration (
  id uuid primary key,
  api_id integer generated always as identity unique,
  server_id uuid not null references server (id),
  type text not null,                                       -- domain MigrationType
  status text not null,                                     -- domain MigrationStatus
  phase text not null,                                      -- domain MigrationPhase
  fence bigint not null default 0,
  source_host_id uuid references host (id),
  destination_host_id uuid references host (id),
  requested_host text,
  block_migration text not null default 'auto' check (block_migration in ('auto', 'true', 'false')),
  policy jsonb not null default '{}',
  epoch_from bigint,
  epoch_to bigint,
  grant_end_state text check (grant_end_state in ('running', 'paused')),
  old_flavor_id text,
  new_flavor_id text,
  previous_vm_state text not null,
  abort_requested_at timestamptz,
  memory_total_bytes bigint, memory_processed_bytes bigint, memory_remaining_bytes bigint,
  disk_total_bytes bigint, disk_processed_bytes bigint, disk_remaining_bytes bigint,
  measures jsonb not null default '{}',                     -- domain MigrationMeasures
  timeline jsonb not null default '[]',                     -- domain TimelineEntry[]
  phase_durations_ms jsonb not null default '{}',           -- {phase: milliseconds}
  verdicts jsonb,                                           -- stored decision, grouped by reason
  incoming_ready jsonb,                                     -- what the destination opened
  release jsonb,                                            -- the source's release, once heard
  outcome jsonb,                                            -- domain MigrationOutcome
  user_id text not null,
  project_id text not null,
  request_id text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz,
  finished_at timestamptz
);
create index migration_server on migration (server_id);
create unique index migration_one_live on migration (server_id) where finished_at is null;

-- One ledger: a row per (consumer, host); usage is always a sum over it. During a move the migration holds the source and the server the destination.
create table allocation (
  consumer_id uuid not null,
  consumer_type text not null check (consumer_type in ('server', 'migration')),
  server_id uuid not null references server (id),
  host_id uuid not null references host (id),
  vcpus integer not null,
  ram_mib integer not null,
  disk_gib integer not null,
  created_at timestamptz not null default now(),
  primary key (consumer_id, host_id)
);
create index allocation_host on allocation (host_id);
create index allocation_server on allocation (server_id);

create table instance_action (
  id bigint generated always as identity primary key,
  server_id uuid not null,
  action text not null,
  request_id text not null,
  user_id text,
  project_id text,
  message text,
  start_time timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index instance_action_server on instance_action (server_id, request_id);
create table instance_action_event (
  id bigint generated always as identity primary key,
  action_id bigint not null references instance_action (id),
  event text not null,
  host_id uuid,
  start_time timestamptz not null default now(),
  finish_time timestamptz,
  result text,
  traceback text,
  details text
);

-- Several controllers on one database: who is alive, and the fences they take.
create sequence fence_sequence as bigint start 1;
create table executor (
  id text primary key,
  started_at timestamptz not null default now(),
  heartbeat_at timestamptz not null default now(),
  application_version text not null
);

-- What the event stream serves; pruned by age. Written in the same transaction as the change it tells.
create table event (
  id bigint generated always as identity primary key,
  kind text not null,                                       -- server | migration | host | drain
  subject_id uuid not null,
  project_id text,
  data jsonb not null,
  at timestamptz not null default now()
);

create table setting (key text primary key, value jsonb not null);
