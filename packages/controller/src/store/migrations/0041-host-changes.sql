-- Which hosts changed for the scheduler, so that a controller reloads these alone into its warm snapshot. Insert only: writers never wait for each other. Read by
-- transaction order, as events are: nothing can appear behind a reader that reads again from the oldest transaction that was still running. Pruned by age.
create table host_change (
  host_id uuid not null,
  xid xid8 not null default pg_current_xact_id(),
  at timestamptz not null default now()
);
create index host_change_xid on host_change (xid);
create index host_change_at on host_change (at);

create function note_host_change() returns trigger language plpgsql as $$
begin
  case tg_table_name
    when 'host' then
      insert into host_change (host_id) values (new.id);
    when 'aggregate' then
      insert into host_change (host_id) select host_id from aggregate_host where aggregate_id = new.id;
    when 'migration' then
      insert into host_change (host_id) select new.destination_host_id where new.destination_host_id is not null;
      if tg_op = 'UPDATE' then
        insert into host_change (host_id) select old.destination_host_id where old.destination_host_id is distinct from new.destination_host_id and old.destination_host_id is not null;
      end if;
    else
      if tg_op <> 'INSERT' then insert into host_change (host_id) values (old.host_id); end if;
      if tg_op <> 'DELETE' then insert into host_change (host_id) values (new.host_id); end if;
  end case;
  return null;
end $$;

create trigger allocation_changes_host after insert or update or delete on allocation for each row execute function note_host_change();
create trigger aggregate_host_changes_host after insert or update or delete on aggregate_host for each row execute function note_host_change();
create trigger aggregate_changes_host after update on aggregate for each row execute function note_host_change();
create trigger new_migration_changes_host after insert on migration for each row execute function note_host_change();
create trigger migration_changes_host after update on migration for each row
  when (old.destination_host_id is distinct from new.destination_host_id or old.finished_at is distinct from new.finished_at) execute function note_host_change();
create trigger new_host_changes_host after insert on host for each row execute function note_host_change();
-- Not by a heartbeat, which changes only when the host was last seen.
create trigger host_changes_host after update on host for each row
  when (old.name is distinct from new.name or old.enabled is distinct from new.enabled or old.disabled_reason is distinct from new.disabled_reason
    or old.forced_down is distinct from new.forced_down or old.reachable is distinct from new.reachable or old.deleted_at is distinct from new.deleted_at
    or old.facts is distinct from new.facts) execute function note_host_change();
