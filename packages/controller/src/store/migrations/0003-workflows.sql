-- The small CA of the cluster. The newest that is active issues; every one that has not expired is trusted, so a successor is known everywhere before it signs.
create table certificate_authority (
  id integer generated always as identity primary key,
  certificate_pem text not null,
  private_key_pem text not null,
  not_after timestamptz not null,
  active_from timestamptz not null,
  created_at timestamptz not null default now()
);

-- What has to be done, until it is done: enqueued in the transaction that accepted it. The subject's own row is the log of how far it has come.
create table workflow (
  id uuid primary key default gen_random_uuid(),
  kind text not null,
  subject_id uuid not null,                                 -- the server, or for a move the migration
  input jsonb not null default '{}',
  executor_id text,                                         -- null: waits for one
  fence bigint,                                             -- of the run in progress; the newest run has the highest
  attempts integer not null default 0,
  not_before timestamptz not null default now(),
  last_error text,
  created_at timestamptz not null default now(),
  finished_at timestamptz
);
create index workflow_open on workflow (executor_id, not_before) where finished_at is null;
create index workflow_subject on workflow (subject_id) where finished_at is null;

-- An executor is one process; a name outlives it: a controller that comes back under its name takes over its own work at once.
alter table executor add column name text not null default '';

-- The custody of a server (domain CustodyRow): fence of the executor in charge, and {holder, operation, remains, behind}.
alter table server add column fence bigint not null default 0;
alter table server add column custody jsonb not null default '{"holder":{"kind":"nowhere"},"operation":null,"remains":[],"behind":false}';

-- A duty that one controller at a time has (watching the hosts). A lease by the database's clock: a lock of a frozen controller's session would be held for ever.
create table duty (
  name text primary key,
  executor_id text not null,
  expires_at timestamptz not null
);
