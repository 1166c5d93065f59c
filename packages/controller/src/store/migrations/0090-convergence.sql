-- What moves may cost: of a project, or of the whole cloud. A move's own policy is in its record.
create table migration_policy (
  scope text primary key,                                   -- 'default', or a project's id
  policy jsonb not null,                                    -- domain PartialPolicy
  updated_by text not null,
  updated_at timestamptz not null default now()
);

alter table migration
  add column force_requested_at timestamptz,
  add column policy_version integer not null default 0,     -- grows when what it may cost is changed while it runs
  add column max_bandwidth_bytes bigint,                    -- per second; null: the links' alone
  add column attempts jsonb not null default '[]',          -- hosts that were tried before the destination: [{hostId, host, cause, sentence, at}]
  add column prediction jsonb,                              -- domain Prediction, written before the first byte is copied
  add column prediction_score jsonb;                        -- domain PredictionScore, written with the end

create index migration_scored on migration (finished_at) where prediction_score is not null;

-- How much of a host's migration link a move may use; null: all of it.
alter table host add column migration_bandwidth_bytes bigint check (migration_bandwidth_bytes > 0);
