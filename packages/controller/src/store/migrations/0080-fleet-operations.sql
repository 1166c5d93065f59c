-- Many moves asked for as one. The operation's row and its items are the log of how far it has come; a run reads them, looks, acts and advances them, under its fence.
create table fleet_operation (
  id uuid primary key,
  kind text not null,                                       -- domain OperationKind
  state text not null,                                      -- domain OperationState
  fence bigint not null default 0,
  reason text,
  destination text,                                         -- name of the one host, if the request named one
  block_migration text not null default 'auto' check (block_migration in ('auto', 'true', 'false')),
  parallel integer not null,
  at_most integer not null default 1,                       -- hosts at the same time
  move_others boolean not null default false,
  until text not null default 'operator' check (until in ('operator', 'reboot')),
  bring_home boolean not null default true,
  confirmed_dead boolean not null default false,
  expected_ms bigint,
  user_id text not null,
  project_id text not null,
  request_id text not null,                                 -- of the request that began it, or last retried it
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  finished_at timestamptz
);
create index fleet_operation_open on fleet_operation (created_at) where finished_at is null;

-- The hosts of a drain, maintenance, rolling, restore or evacuation, in their order.
create table fleet_host (
  operation_id uuid not null references fleet_operation (id) on delete cascade,
  host_id uuid not null references host (id),
  position integer not null,
  step text not null,                                       -- domain HostStep
  boot_id text,                                             -- when its draining began: another one later is a reboot
  was_enabled boolean not null,
  done_at timestamptz,                                      -- an operator said that the work on it is done
  proof jsonb,                                              -- {at, servers, claims, guests, sentence}
  primary key (operation_id, host_id)
);
create index fleet_host_host on fleet_host (host_id);

create table fleet_item (
  operation_id uuid not null references fleet_operation (id) on delete cascade,
  position integer not null,
  server_id uuid not null references server (id),
  direction text not null default 'away' check (direction in ('away', 'home')),
  method text not null,                                     -- domain MoveMethod
  source_host_id uuid references host (id),
  planned_host_id uuid references host (id),
  destination_host_id uuid references host (id),
  pinned boolean not null default false,
  makes_room boolean not null default false,
  state text not null,                                      -- domain ItemState
  attempt integer not null default 0,
  migration_id uuid,
  note text,
  cause jsonb,                                              -- {code, sentence, remedy}
  started_at timestamptz,
  finished_at timestamptz,
  primary key (operation_id, position)
);
create index fleet_item_migration on fleet_item (migration_id) where migration_id is not null;
create index fleet_item_server on fleet_item (server_id);
