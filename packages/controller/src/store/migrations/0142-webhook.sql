-- What a webhook has to be told, until it was told: at least once each. A move that failed is noted in the transaction that ends it.
create table webhook_notice (
  id uuid primary key default gen_random_uuid(),
  kind text not null check (kind in ('migration.failed', 'migration.stuck', 'resize.forgotten')),
  migration_id uuid not null,
  at timestamptz not null default now(),
  attempts integer not null default 0,
  next_at timestamptz not null default now(),
  last_error text,
  delivered_at timestamptz,
  given_up_at timestamptz,
  unique (kind, migration_id)
);
create index webhook_notice_due on webhook_notice (next_at) where delivered_at is null and given_up_at is null;

create function note_failed_move() returns trigger language plpgsql as $$
begin
  -- Without a webhook nobody else takes old ones away.
  delete from webhook_notice where at < now() - interval '7 days';
  insert into webhook_notice (kind, migration_id) values ('migration.failed', new.id) on conflict do nothing;
  return null;
end $$;
create trigger migration_failed after update of finished_at on migration for each row
  when (old.finished_at is null and new.finished_at is not null and new.status in ('failed', 'error')) execute function note_failed_move();
