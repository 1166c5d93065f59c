-- What an operator has confirmed of a fenced host: the boot that is over (or cut off), and since when a report of it has been compared.
alter table host add column fenced_boot_id text, add column fence_compared_at timestamptz;

-- A fenced host takes no guest: the scheduler's snapshot has to hear of it.
drop trigger host_changes_host on host;
create trigger host_changes_host after update on host for each row
  when (old.name is distinct from new.name or old.enabled is distinct from new.enabled or old.disabled_reason is distinct from new.disabled_reason
    or old.forced_down is distinct from new.forced_down or old.reachable is distinct from new.reachable or old.deleted_at is distinct from new.deleted_at
    or old.fenced_at is distinct from new.fenced_at or old.facts is distinct from new.facts) execute function note_host_change();
